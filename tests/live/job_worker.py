"""`agentchat worker` with a handler of the tests': it notes what it begins and ends, as lines in a folder.

A subject that begins with "long" is held until a file `go` lies in the folder.
"""

import asyncio
import os
import sys
from pathlib import Path

from dishka import AsyncContainer, Provider, Scope, from_context, make_async_container, provide

from adapters.database.transactions import DatabaseTransactions
from adapters.security import SystemClock
from application.knowledge.knowledge_upkeep import KeepKnowledge
from application.ports.embedder import Embedder
from application.ports.job_queue import Again, Job, JobHandler, JobQueue
from domain.knowledge.embeddings import EmbeddingModel
from entrypoints.graph.jobs import Jobs
from entrypoints.logs import configure_logging
from entrypoints.settings.loading import Settings, load_settings
from entrypoints.worker import work


class Noting:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, job: Job) -> Again | None:
        self.note(f"begin {job.subject}")
        while job.subject.startswith("long") and not (self.folder / "go").exists():
            await asyncio.sleep(0.02)
        self.note(f"end {job.subject}")
        return None

    def note(self, line: str) -> None:
        with (self.folder / "notes").open("a") as notes:
            notes.write(f"{os.getpid()} {line}\n")


class NoEmbedders:
    """Nothing can embed, so that there is nothing to embed anew."""

    configured: EmbeddingModel | None = None
    lacking: str | None = "none is configured"
    is_switched_off = True

    def open(self, name: str) -> Embedder | None: ...


class Stub(Provider):
    scope = Scope.APP
    settings = from_context(Settings)

    @provide
    def database(self, settings: Settings) -> DatabaseTransactions:
        return DatabaseTransactions.open(settings.database_url.reveal())

    @provide
    def keep(self, database: DatabaseTransactions, queue: JobQueue) -> KeepKnowledge:
        return KeepKnowledge(database, queue, NoEmbedders(), SystemClock(), on_trouble=print)

    @provide
    def handler(self) -> JobHandler:
        return Noting(Path.cwd())


def opened(settings: Settings) -> AsyncContainer:
    return make_async_container(Jobs(), Stub(), context={Settings: settings})


if __name__ == "__main__":
    chosen = load_settings()
    configure_logging(chosen.log_level, chosen.log_format)
    sys.exit(asyncio.run(work(chosen, opened)))
