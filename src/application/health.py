"""Can this process serve: every part is asked at once, each with its own patience."""

import asyncio
import logging
from dataclasses import dataclass
from time import perf_counter

from application.ports.health import HealthCheck
from domain.errors import DomainError

log = logging.getLogger("agentchat.health")


@dataclass(frozen=True, slots=True)
class PartHealth:
    """`problem` is None when the part works. What is not `required` makes the server do less, and not stop."""

    name: str
    latency_ms: float
    problem: str | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class CheckHealth:
    checks: tuple[HealthCheck, ...]
    patience_seconds: float = 5.0
    dispensable: tuple[HealthCheck, ...] = ()
    """Parts without which the server does what it can."""

    async def __call__(self) -> tuple[PartHealth, ...]:
        needed = [self._one(part, required=True) for part in self.checks]
        return tuple(await asyncio.gather(*needed, *(self._one(part, required=False) for part in self.dispensable)))

    async def _one(self, part: HealthCheck, *, required: bool) -> PartHealth:
        began = perf_counter()
        problem: str | None = None
        try:
            async with asyncio.timeout(self.patience_seconds):
                await part.check()
        except DomainError as error:
            problem = error.message
        except TimeoutError:
            problem = f"no answer within {self.patience_seconds:g} seconds"
        except Exception:
            log.exception("health_check_failed", extra={"part": part.name})
            problem = "the check itself failed"
        return PartHealth(part.name, round((perf_counter() - began) * 1000, 2), problem, required)
