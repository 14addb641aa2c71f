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
    """`problem` is None when the part works."""

    name: str
    latency_ms: float
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CheckHealth:
    checks: tuple[HealthCheck, ...]
    patience_seconds: float = 5.0

    async def __call__(self) -> tuple[PartHealth, ...]:
        return tuple(await asyncio.gather(*map(self._one, self.checks)))

    async def _one(self, part: HealthCheck) -> PartHealth:
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
        return PartHealth(part.name, round((perf_counter() - began) * 1000, 2), problem)
