"""All numbers of a server, whichever of its processes is asked."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from application.jobs.backlog import LookAtBacklog
from entrypoints.metrics.families import Families, families_of, labelled, up
from entrypoints.metrics.text import merged, packed, text_of, unpacked
from entrypoints.metrics.workers import WorkerPlace


@dataclass(frozen=True, slots=True)
class ServerNumbers:
    """Those of this process, or where it has neighbours those of all, with the label `worker`."""

    registry: CollectorRegistry
    place: WorkerPlace
    look: LookAtBacklog | None = None

    @classmethod
    def of(cls, families: Families, place: WorkerPlace, look: LookAtBacklog | None = None) -> "ServerNumbers":
        """A registry of its own, not the library's: two servers in one process know nothing of each other."""
        registry = CollectorRegistry()
        registry.register(families)
        ProcessCollector(registry=registry)
        return cls(registry, place, look)

    def packed(self) -> bytes:
        """This process's own, for a neighbour."""
        return packed(self.registry.collect())

    async def __call__(self) -> bytes:
        told, shared = await asyncio.gather(self._neighbours(), self._shared())
        # Read where the numbers are written; making text of them takes 10 ms a process, for which no answer waits.
        own = list(self.registry.collect())
        return await asyncio.to_thread(self._text, own, told, shared)

    async def _neighbours(self) -> dict[int, bytes]:
        return await self.place.neighbours() if self.place.count > 1 else {}

    async def _shared(self) -> list[Metric]:
        """What is no process's own, and has no label of one."""
        return [] if self.look is None else list(families_of(await self.look()))

    def _text(self, own: list[Metric], told: Mapping[int, bytes], shared: list[Metric]) -> bytes:
        return text_of([*(own if self.place.count == 1 else self._of_all(own, told)), *shared])

    def _of_all(self, own: list[Metric], told: Mapping[int, bytes]) -> Iterable[Metric]:
        found = {self.place.number: own}
        for number, sent in told.items():
            # While workers are replaced after an upgrade, one of another version may be among them.
            with suppress(ValueError):
                found[number] = unpacked(sent)
        shown = [one for number in sorted(found) for one in labelled(found[number], "worker", str(number))]
        return merged([up({str(number): number in found for number in range(self.place.count)}), *shown])
