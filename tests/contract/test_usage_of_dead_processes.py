"""What calls used whose process died, or was taken for dead, is in the ledger: wherever the calls were."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import Hold, ScriptedChatModel, Step, call, delta, finished, hold
from application.runs.live_runs import LiveRun
from chat_desk import ChatDesk
from domain.conversation.conversation import ModelFinished, Usage
from domain.dialogs.messages import Answer, AnswerStatus
from domain.ids import UserId
from domain.models.attempts import ANSWERED, INTERRUPTED
from domain.runs.runs import RunStatus
from patience import PATIENCE
from spending import outcomes, sums

TOLD = finished(usage=Usage(100, 10))
SUM = call("calculator", call_id="c1", expression="1+1")
DEAD: list[tuple[str, list[list[Step]], list[str], int]] = [
    ("before the first word", [[hold(), delta("x"), TOLD]], [INTERRUPTED], 0),
    ("before a later call's first word", [[SUM, TOLD], [hold(), delta("x"), TOLD]], [ANSWERED, INTERRUPTED], 2),
    ("while the arguments of a call are written", [[SUM, hold(), TOLD]], [INTERRUPTED], 0),
    ("behind what was shown", [[delta("half"), hold(), delta("x"), TOLD]], [INTERRUPTED], 1),
]
PLACES = pytest.mark.parametrize(
    ("turns", "expected", "shown"), [place[1:] for place in DEAD], ids=[place[0] for place in DEAD]
)


def processes(transactions: DatabaseTransactions, turns: Sequence[Sequence[Step]]) -> tuple[ChatDesk, ChatDesk, Hold]:
    """One that comes to a halt, one that lives, and what the first one halts at."""
    gate = hold()
    held = [[gate if isinstance(step, Hold) else step for step in turn] for turn in turns]
    dead, alive = (ChatDesk(transactions, ScriptedChatModel(turns=held)) for _ in range(2))
    return dead, alive, gate


async def halted(dead: ChatDesk, gate: Hold) -> tuple[UserId, LiveRun]:
    """A run that was written as far as it came."""
    actor = await dead.person()
    run = await dead.ask(actor)
    async with asyncio.timeout(PATIENCE):
        await gate.reached.wait()
        while run.log.next_piece() is not None:
            await dead.writer.flush()
    return actor, run


async def closed_elsewhere(alive: ChatDesk) -> None:
    alive.clock.pass_time(3600)
    assert await alive.close_abandoned(alive.clock.now()) == 1


async def ended_at_last(dead: ChatDesk, gate: Hold) -> None:
    gate.release()
    await dead.registry.drain(5)


@PLACES
async def test_a_call_under_way_is_a_row_wherever_its_process_died(
    transactions: DatabaseTransactions, turns: list[list[Step]], expected: list[str], shown: int
) -> None:
    dead, alive, gate = processes(transactions, turns)
    actor, run = await halted(dead, gate)
    assert run.log.last_seq == shown
    assert (await alive.show(actor, run.state.run_id)).last_seq == shown
    await closed_elsewhere(alive)
    assert await outcomes(transactions, actor) == expected
    answer = (await alive.history(actor))[-1]
    assert isinstance(answer, Answer)
    (found,) = await sums(transactions, actor)
    assert (answer.status, answer.usage.estimated, found.estimated_attempts) == (AnswerStatus.INTERRUPTED, True, 1)
    assert answer.usage.input_tokens == found.input_tokens > 0
    seen = await alive.resumed(actor, run.state.run_id)
    assert [one.seq for one in seen[:-1]] == list(range(1, shown + 1))
    await ended_at_last(dead, gate)


@PLACES
async def test_a_process_that_was_taken_for_dead_brings_the_rows_of_what_it_went_on_to_use(
    transactions: DatabaseTransactions, turns: list[list[Step]], expected: list[str], shown: int
) -> None:
    goes_on = [step for step in turns[-1] if not isinstance(step, ModelFinished)]
    again = [*turns[:-1], [*goes_on, call("calculator", call_id="c2", expression="2+2"), TOLD], [delta("4"), TOLD]]
    dead, alive, gate = processes(transactions, again)
    actor, _ = await halted(dead, gate)
    await closed_elsewhere(alive)
    assert await outcomes(transactions, actor) == expected
    await ended_at_last(dead, gate)
    assert await outcomes(transactions, actor) == [*expected, ANSWERED]
    assert sum(one.runs for one in await sums(transactions, actor)) == 1
    answered = [one for one in await alive.history(actor) if isinstance(one, Answer)]
    assert [one.status for one in answered] == [AnswerStatus.INTERRUPTED]


async def test_a_run_that_was_killed_before_its_first_word_was_queued_to_everybody(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    """What lies beside its log is written once, tells nobody anything, and goes with the log."""
    dead, alive, gate = processes(transactions, [[hold(), delta("x"), finished()]])
    actor, run = await halted(dead, gate)
    statements.clear()
    await dead.writer.flush()
    assert statements == []
    shown = await alive.show(actor, run.state.run_id)
    assert (shown.status, shown.last_seq) == (RunStatus.QUEUED, 0)
    async with transactions.autocommit() as tx:
        assert await tx.runs.log(run.state.run_id, 0, 100) == []
    await ended_at_last(dead, gate)
    assert await outcomes(transactions, actor) == [ANSWERED]
    async with transactions.autocommit() as tx:
        assert await tx.runs.remove_logs(dead.clock.now().replace(year=9000), 10) == 1
        assert await tx.runs.unseen(run.state.run_id) is None
