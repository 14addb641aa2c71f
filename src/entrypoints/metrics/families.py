"""What the server's plain numbers are called in Prometheus: read when they are asked for, kept nowhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from application.asking.model_statistics import ModelStatistics
from application.files.file_statistics import ReadingStatistics, UploadStatistics
from application.memory.remembering import LessonStatistics
from application.ports.job_queue import Backlog, JobKind
from application.runs.run_statistics import RunStatistics
from application.tallies import Durations, Tally
from domain.usage.usage import NANOS_A_UNIT
from entrypoints.http.http_statistics import HttpStatistics

PREFIX: Final = "agentchat_"


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that goes up and down: `name` without the prefix."""

    name: str
    meaning: str
    value: Callable[[], float]


@dataclass(frozen=True, slots=True, eq=False)
class Families(Collector):
    """All numbers of one process but those of the operating system."""

    version: str
    http: HttpStatistics
    runs: RunStatistics
    uploads: UploadStatistics
    readings: ReadingStatistics
    gauges: tuple[Gauge, ...]
    models: ModelStatistics = field(default_factory=ModelStatistics)
    lessons: LessonStatistics = field(default_factory=LessonStatistics)

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(f"{PREFIX}build_info", "The running version; always 1.", labels=["version"])
        build.add_metric([self.version], 1)
        yield build
        yield from self._of_http()
        yield from self._of_runs()
        meaning = "Calls of models' providers that ended, and how."
        yield counter("model_attempts", meaning, ("model", "outcome"), self.models.attempts)
        meaning = "What agents that remember made of answers."
        yield counter("memory_lessons", meaning, ("outcome",), self.lessons.ended)
        yield from self._of_files()
        for gauge in self.gauges:
            yield GaugeMetricFamily(PREFIX + gauge.name, gauge.meaning, value=gauge.value())

    def _of_http(self) -> Iterator[Metric]:
        meaning = "Requests, counted when the answer begins; status none: the client went away before."
        yield counter("http_requests", meaning, ("method", "route", "status"), self.http.requests)
        meaning = "Seconds from a request to the beginning of its answer."
        yield histogram("http_response_begin_seconds", meaning, ("method", "route"), self.http.begun)

    def _of_runs(self) -> Iterator[Metric]:
        meaning = "Runs of this process that ended; code says why one failed or was interrupted."
        yield counter("runs_ended", meaning, ("status", "code"), self.runs.ended)
        meaning = "Tokens as the models' providers counted them, else estimated; cached is a part of input."
        yield counter("tokens", meaning, ("model", "direction"), self.runs.tokens)
        costs = CounterMetricFamily(f"{PREFIX}cost", "Cost by configured prices.", labels=("model", "currency"))
        for labels, nanos in self.runs.costs:
            costs.add_metric(labels, nanos / NANOS_A_UNIT)
        yield costs
        meaning = "Seconds from the stored question to the first text of its answer; told when the run ends."
        taken: dict[tuple[str, ...], Durations] = {
            (model,): durations for model, durations in self.runs.first_text.items()
        }
        yield histogram("run_first_text_seconds", meaning, ("model",), taken)
        yield counter("questions_refused", "Questions that no run was made of.", ("code",), self.runs.refused)

    def _of_files(self) -> Iterator[Metric]:
        meaning = "Uploads that ended: taken, the code of a refusal, or broken_off."
        yield counter("uploads", meaning, ("outcome",), self.uploads.outcomes)
        meaning = "Bytes of the files that were taken."
        yield CounterMetricFamily(f"{PREFIX}upload_bytes", meaning, value=self.uploads.taken_bytes)
        meaning = "Documents that questions needed: read, or the code of a refusal; known: without parsing it again."
        yield counter("documents", meaning, ("kind", "outcome", "known"), self.readings.outcomes)


def families_of(backlog: Backlog | None) -> Iterator[Metric]:
    """Of all processes together. Nothing while the queue can't be asked: a gap is better than an old number."""
    if backlog is None:
        return
    waiting = GaugeMetricFamily(f"{PREFIX}jobs_waiting", "Jobs that nobody does yet.", labels=["kind"])
    for kind in JobKind:
        waiting.add_metric([kind.value], backlog.waiting.get(kind, 0))
    yield waiting
    meaning = "For how long the oldest job that is due has waited; 0 when none is."
    yield GaugeMetricFamily(f"{PREFIX}jobs_oldest_seconds", meaning, value=backlog.oldest_seconds)
    meaning = "Processes that do jobs, by the signs of life of the last seconds."
    yield GaugeMetricFamily(f"{PREFIX}jobs_workers", meaning, value=backlog.workers)


def counter(name: str, meaning: str, labels: tuple[str, ...], tally: Tally) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, count in tally:
        family.add_metric(values, count)
    return family


def histogram(name: str, meaning: str, labels: tuple[str, ...], found: Mapping[tuple[str, ...], Durations]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, durations in found.items():
        bounds = [*map(str, durations.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
        family.add_metric(values, buckets, durations.total)
    return family


def up(workers: Mapping[str, bool]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}worker_up", "Whether this process told its numbers.", labels=["worker"])
    for worker, told in workers.items():
        family.add_metric([worker], told)
    return family


def labelled(families: Iterable[Metric], name: str, value: str) -> Iterator[Metric]:
    """The same with one label more."""
    for family in families:
        made = Metric(family.name, family.documentation, family.type)
        for sample in family.samples:
            made.add_sample(sample.name, {**sample.labels, name: value}, sample.value)
        yield made
