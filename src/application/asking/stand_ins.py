"""Who goes on with an answer that waited for a person, where its model is gone meanwhile."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

from application.models.models import FindModel
from domain.chat.model_fitting import can_take, fitted
from domain.conversation.conversation import AssistantTurn
from domain.errors import Conflict, NotFound
from domain.ids import ModelId, UserId
from domain.models.models import ModelSpec
from domain.runs.pauses import RunPause


@dataclass(frozen=True, slots=True)
class StandIn:
    """The model that goes on, and what the run is put to it with where it is another one than before."""

    spec: ModelSpec
    pause: RunPause | None = None

    def on(self, pause: RunPause) -> RunPause:
        """The pause as it goes on: words may have been said since it was looked at."""
        if self.pause is None:
            return pause
        return replace(self.pause, approvals=pause.approvals, stored=b"")


async def who_goes_on(find: FindModel, owner: UserId, pause: RunPause) -> StandIn:
    """The model that answered; else the first of those that would have taken over, or the default one.

    Raises Conflict `approval_outdated` where none can go on.
    """
    try:
        return StandIn(await find(owner, pause.llm_id))
    except NotFound:
        pass
    default = find.catalogue.default_id
    for llm_id in dict.fromkeys((*pause.models_waiting, default)):
        try:
            spec = await find(owner, llm_id)
        except NotFound:
            continue
        if spec.available and (taken := await asyncio.to_thread(_taken_over, pause, spec)) is not None:
            return StandIn(spec, taken)
    gone = f"The model {pause.llm_id} is gone, and no other can go on with this answer: stop it, and ask again."
    raise Conflict("approval_outdated", gone)


def _taken_over(pause: RunPause, spec: ModelSpec) -> RunPause | None:
    """As `spec` can go on with it; None where it can't."""
    loop = pause.loop
    whole = fitted(replace(loop.request, turns=(*loop.request.turns, loop.turn)), spec)
    *before, turn = whole.turns
    if not can_take(whole, spec) or not isinstance(turn, AssistantTurn):
        return None
    route = pause.route(spec)
    for llm_id in _up_to(spec.llm_id, pause.models_waiting):
        if llm_id not in route.tried:
            route = route.passing(llm_id, spec.fallbacks if llm_id == spec.llm_id else ())
    return replace(
        pause,
        loop=replace(loop, request=replace(whole, turns=tuple(before)), turn=turn),
        llm_id=spec.llm_id,
        models_waiting=route.waiting,
        models_tried=route.tried,
    )


def _up_to(chosen: ModelId, waiting: tuple[ModelId, ...]) -> Iterator[ModelId]:
    """Those that were looked at, the chosen one included."""
    for llm_id in waiting:
        if llm_id == chosen:
            break
        yield llm_id
    yield chosen
