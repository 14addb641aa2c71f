"""Which providers' keys, and which models, are left alone for a while, because they failed again and again."""

import random
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final

from application.asking.model_places import key_of
from domain.errors import ModelError
from domain.models.breakers import Breaker
from domain.models.model_failures import blames_model, blames_provider
from domain.models.models import ModelSpec

REMEMBERED: Final = 2_000


@dataclass(frozen=True, slots=True)
class Breakers:
    """One object for the process. `jitter` gives numbers from 0 to 1: not all who wait may come back at once.

    A provider that can't be reached is closed for its key; a refused key or an unknown model for that model alone.
    """

    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    _failing: dict[Hashable, Breaker] = field(default_factory=dict)

    def refuse(self, spec: ModelSpec) -> None:
        """Raises ModelError `model_unavailable` while no call may begin."""
        now = self.now()
        for known in self._known(spec):
            if pause := known.pause(now):
                seconds = max(1, round(pause))
                message = f"{spec.llm_id} failed several times and is left alone for {seconds} s: {known.reason}"
                raise ModelError("model_unavailable", message, retryable=True, retry_after=pause)

    def begin(self, spec: ModelSpec) -> "Trial":
        """Raises the refusal. The trial must be told how the call went."""
        self.refuse(spec)
        return Trial(self, spec, tuple((known, known.begin()) for known in self._known(spec)))

    @property
    def open(self) -> int:
        """How many are left alone now."""
        now = self.now()
        return sum(one.pause(now) > 0 for one in self._failing.values())

    def failed(self, spec: ModelSpec, error: ModelError, probed: Iterable[tuple[Breaker, bool]]) -> None:
        blamed = _blamed(spec, error.code)
        for known, probe in probed:
            if blamed is None or known is not self._failing.get(blamed):
                known.given_up(probe=probe)
        if blamed is not None:
            breaker = self._failing.setdefault(blamed, Breaker())
            probe = any(probe for known, probe in probed if known is breaker)
            breaker.failed(self.now(), error.message, self.jitter(), probe=probe, asked=error.retry_after or 0.0)
            if len(self._failing) > REMEMBERED:
                del self._failing[next(iter(self._failing))]

    def answered(self, spec: ModelSpec) -> None:
        for place in _places(spec):
            if known := self._failing.pop(place, None):
                known.answered()

    def _known(self, spec: ModelSpec) -> list[Breaker]:
        if not self._failing:
            return []
        return [known for place in _places(spec) if (known := self._failing.get(place))]


@dataclass(slots=True)
class Trial:
    """One call, of which a breaker wants to know how it went."""

    breakers: Breakers
    spec: ModelSpec
    probed: tuple[tuple[Breaker, bool], ...]

    def spoke(self) -> None:
        for known, probe in self.probed:
            known.spoke(probe=probe)

    def ended(self, error: ModelError | None) -> None:
        """It was answered to its end, or failed."""
        if error is None:
            self.breakers.answered(self.spec)
        else:
            self.breakers.failed(self.spec, error, self.probed)

    def given_up(self) -> None:
        for known, probe in self.probed:
            known.given_up(probe=probe)


def _places(spec: ModelSpec) -> tuple[Hashable, Hashable]:
    return key_of(spec), (key_of(spec), spec.llm_id)


def _blamed(spec: ModelSpec, code: str) -> Hashable | None:
    of_key, of_model = _places(spec)
    if blames_provider(code):
        return of_key
    return of_model if blames_model(code) else None
