"""A dialog of 2,000 messages costs what a short one costs: statements, work of the database, and the prompt."""

from functools import partial

from sqlalchemy import insert

from adapters.database.tables import messages
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, delta, finished
from chat_desk import ChatDesk
from domain.conversation.conversation import request_tokens
from domain.dialogs.history import prompt_budget
from domain.dialogs.past import MOST_BYTES, MOST_EXCHANGES
from domain.ids import ModelId, UserId, new_id
from domain.models.models import ModelSpec, Provider
from sqlite_steps import Steps
from stored import DIALOG, NOW, with_dialog

EXCHANGES = 1000
SPEC = ModelSpec(ModelId("scripted"), Provider.OFFLINE, "scripted", context_window=8192)


async def filled(transactions: DatabaseTransactions, exchanges: int, text: str = "word " * 40) -> UserId:
    """A person with a dialog of so many exchanges, written at once."""
    owner = await with_dialog(transactions)
    rows = [row for number in range(exchanges) for row in (_asked(owner, number, text), _answered(owner, number, text))]

    def write() -> None:
        with transactions.database.writer.begin() as connection:
            connection.execute(insert(messages), rows)

    await transactions.database.run(write)
    return owner


def _asked(owner: UserId, number: int, text: str) -> dict[str, object]:
    return {column.name: None for column in messages.c} | {
        "message_id": new_id(),
        "user_id": owner,
        "dialog_id": DIALOG,
        "position": 2 * number,
        "created_at": NOW,
        "content": f"q{number} {text}",
    }


def _answered(owner: UserId, number: int, text: str) -> dict[str, object]:
    said = {"status": "complete", "run_id": new_id(), "model": "m", "steps": "[]", "rounds": "[]", "citations": "[]"}
    used = {"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0, "estimated": False, "closed_at": NOW}
    place = {"message_id": new_id(), "position": 2 * number + 1, "content": f"a{number} {text}"}
    return _asked(owner, number, text) | said | used | place


async def test_a_question_in_a_long_dialog_asks_the_database_as_often_as_in_a_short_one(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    counts: list[list[str]] = []
    for exchanges in (10, EXCHANGES):
        owner = await filled(transactions, exchanges)
        model = ScriptedChatModel([delta("ok"), finished()], repeat=True)
        desk = ChatDesk(transactions, model, spec=SPEC)
        statements.clear()
        await desk.answer(owner, "and now?", DIALOG)
        counts.append(list(statements))
        budget = prompt_budget(SPEC.context_window, SPEC.max_output_tokens, 0)
        assert request_tokens(model.requests[-1]) <= budget
        assert len(model.requests[-1].turns) > 20
    assert counts[0] == counts[1]


async def test_no_more_is_read_of_a_long_dialog_than_a_prompt_can_hold(transactions: DatabaseTransactions) -> None:
    owner = await filled(transactions, EXCHANGES, "x" * 20_000)
    async with transactions.autocommit() as tx:
        found = await tx.messages.past(DIALOG, MOST_EXCHANGES, MOST_BYTES, owner=owner)
        few = await tx.messages.past(DIALOG, MOST_EXCHANGES, 100_000, owner=owner)
    assert len(found.exchanges) == 49
    assert found.before == EXCHANGES - 49
    assert found.characters <= MOST_BYTES
    assert (len(few.exchanges), few.before) == (2, EXCHANGES - 2)


async def test_the_database_works_no_more_for_a_long_dialog(sqlite_url: str) -> None:
    transactions = DatabaseTransactions.open(sqlite_url)
    steps, work = Steps(transactions), []
    for count in (60, EXCHANGES):
        owner = await filled(transactions, count, "w")
        async with transactions.autocommit() as tx:
            read = partial(tx.messages.past, DIALOG, MOST_EXCHANGES, MOST_BYTES, owner=owner)
            work.append(await steps.of(read))
    await transactions.aclose()
    short, long = work
    assert long <= short * 1.05
