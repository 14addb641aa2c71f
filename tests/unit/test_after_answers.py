"""What follows an answer is done beside it, and does no harm."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from application.runs.after_answers import AfterAnswers, AnswerKept
from domain.agents.agents import Agent
from domain.dialogs.messages import Answer, AnswerStatus
from domain.ids import AgentId, DialogId, MessageId, ModelId, RunId, UserId
from domain.models.models import ModelSpec, Provider
from domain.runs.runs import Run, RunStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = Run(RunId("r"), UserId("u"), DialogId("d"), MessageId("m"), RunStatus.RUNNING, NOW, NOW)
ANSWER = Answer(MessageId("m"), DialogId("d"), RunId("r"), AnswerStatus.COMPLETE, NOW)
AGENT = Agent(AgentId("a"), None, "Agent", NOW, NOW)
KEPT = AnswerKept(RUN, ANSWER, AGENT, ModelSpec(ModelId("l"), Provider.OFFLINE, "l"))


class Beside:
    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[object]] = []

    def __call__(self, work: Coroutine[Any, Any, object]) -> None:
        self.tasks.append(asyncio.ensure_future(work))


async def test_every_follower_is_told_and_one_that_fails_hurts_none() -> None:
    told: list[AnswerKept] = []
    troubles: list[tuple[RunId, str]] = []

    async def bad(_kept: AnswerKept) -> None:
        raise RuntimeError("broken")

    async def good(kept: AnswerKept) -> None:
        told.append(kept)

    beside = Beside()
    after = AfterAnswers([bad, good, bad], beside, lambda run_id, trouble: troubles.append((run_id, str(trouble))))
    after(KEPT)
    await asyncio.gather(*beside.tasks)
    assert told == [KEPT]
    assert troubles == [(RUN.run_id, "broken")] * 2


async def test_nobody_waits_for_a_follower() -> None:
    gate = asyncio.Event()
    done: list[AnswerKept] = []

    async def slow(kept: AnswerKept) -> None:
        await gate.wait()
        done.append(kept)

    beside = Beside()
    AfterAnswers([slow], beside, lambda *_: None)(KEPT)
    assert done == []
    gate.set()
    await asyncio.gather(*beside.tasks)
    assert done == [KEPT]
