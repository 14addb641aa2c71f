"""The part of the object graph that tells numbers."""

from importlib.metadata import version

from dishka import Provider, Scope, from_context, provide
from sqlalchemy import QueuePool

from adapters.database.transactions import DatabaseTransactions
from adapters.documents.child_parsers import ChildParsers
from application.asking.model_chain import AskModels
from application.files.document_reading import ReadDocument
from application.files.uploads import UploadFile
from application.jobs.backlog import LookAtBacklog
from application.memory.remembering import LessonStatistics
from application.runs.run_registry import RunRegistry
from entrypoints.http.http_statistics import HttpStatistics
from entrypoints.http.metrics import Exposition
from entrypoints.metrics.families import Families, Gauge
from entrypoints.metrics.numbers import ServerNumbers
from entrypoints.metrics.workers import WorkerPlace


class Numbers(Provider):
    """Who counts knows nothing of this; it is asked when somebody looks."""

    scope = Scope.APP
    http = from_context(HttpStatistics)
    place = from_context(WorkerPlace)

    @provide
    def families(
        self,
        http: HttpStatistics,
        registry: RunRegistry,
        upload: UploadFile,
        read: ReadDocument,
        parsers: ChildParsers,
        database: DatabaseTransactions,
        models: AskModels,
        lessons: LessonStatistics,
    ) -> Families:
        calling = models.calling
        gauges = (
            Gauge("runs_live", "Runs that go on now.", lambda: len(registry.live())),
            Gauge("uploads_under_way", "Uploads that go on now.", lambda: upload.places.under_way),
            Gauge("parser_children", "Child processes for documents.", lambda: len(parsers.children)),
            Gauge(
                "model_breakers_open", "Keys and models left alone now after failures.", lambda: calling.breakers.open
            ),
            *database_gauges(database),
        )
        statistics = http, registry.statistics, upload.statistics, read.statistics
        return Families(version("agentchat"), *statistics, gauges, calling.statistics, lessons)

    @provide
    def numbers(self, families: Families, place: WorkerPlace, look: LookAtBacklog) -> ServerNumbers:
        return ServerNumbers.of(families, place, look)

    @provide
    def exposition(self, numbers: ServerNumbers) -> Exposition:
        return numbers


def database_gauges(database: DatabaseTransactions) -> tuple[Gauge, ...]:
    pools = [engine.pool for engine in database.database.engines if isinstance(engine.pool, QueuePool)]
    return (
        Gauge(
            "database_connections_in_use",
            "Database connections at work now.",
            lambda: sum(pool.checkedout() for pool in pools),
        ),
        Gauge("database_connections_max", "Database connections at most.", lambda: sum(pool.size() for pool in pools)),
    )
