"""What agents remember, in both databases: taught once, owned by one, gone with what taught it."""

import asyncio

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.dialogs.messages import AnswerStatus
from domain.errors import NotFound, Unauthenticated
from domain.ids import AgentId, DialogId, UserId
from domain.knowledge.embeddings import Vector
from domain.memory.memories import MOST, Changes, Memory
from domain.memory.memory_lessons import MOST_SAID, Said
from remembering import (
    LATER,
    contents,
    known,
    learn,
    lesson_of,
    listed,
    new,
    new_memory_id,
    owner_of,
    remembering,
    switched,
    taught,
    told,
)
from stored import DIALOG, NOBODY, agent, registered, seconds


async def remove_dialog(transactions: DatabaseTransactions, owner: UserId, dialog_id: str = DIALOG) -> None:
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DialogId(dialog_id), owner=owner)


async def forget(transactions: DatabaseTransactions, owner: UserId, agent_id: AgentId | None = None) -> None:
    async with transactions.autocommit() as tx:
        await tx.memories.remove_all(agent_id, LATER, owner=owner)


async def test_a_lesson_is_what_was_said_since_the_last_one(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    first = await told(transactions, one, "I am Ann.", answer="Hello Ann. Where are you?")
    second = await told(transactions, one, "In Rome.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    assert lesson.said == (Said(first, "I am Ann."), Said(second, "In Rome.", "Hello Ann. Where are you?"))
    assert (lesson.agent_id, lesson.learnt, lesson.until, lesson.has_more) == (one.agent_id, -1, 3, False)
    assert await learn(transactions, owner, lesson, Changes())
    assert await lesson_of(transactions, owner) is None
    third = await told(transactions, one, "And in Bath.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    assert lesson.said == (Said(third, "And in Bath.", "Well."),)


async def test_a_memory_says_where_it_was_taught_last(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    message_id = await told(transactions, one, "I am Ann.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    made = new("The user is Ann.", message_id)
    assert await learn(transactions, owner, lesson, Changes((made,)))
    expected = Memory(made.memory_id, one.agent_id, made.content, DIALOG, message_id, LATER, LATER)
    assert await listed(transactions, owner) == [expected]
    again = await told(transactions, one, "Ann it is.", "other")
    lesson = await lesson_of(transactions, owner, "other")
    assert lesson is not None
    assert await learn(transactions, owner, lesson, Changes(confirmed={made.memory_id: again}), "other", seconds(200))
    async with transactions.autocommit() as tx:
        shown = await tx.memories.get(made.memory_id, owner=owner)
    assert (shown.dialog_id, shown.message_id, shown.created_at, shown.updated_at) == (
        "other",
        again,
        LATER,
        seconds(200),
    )


@pytest.mark.parametrize("status", [AnswerStatus.FAILED, AnswerStatus.INTERRUPTED, AnswerStatus.STOPPED])
async def test_only_complete_answers_teach(transactions: DatabaseTransactions, status: AnswerStatus) -> None:
    one = await remembering(transactions)
    await told(transactions, one, "I am Ann.", status=status)
    assert await lesson_of(transactions, owner_of(one)) is None


async def test_nothing_is_learnt_while_it_is_off_nor_afterwards_of_what_was_said_then(
    transactions: DatabaseTransactions,
) -> None:
    off = agent(await registered(transactions))
    async with transactions.begin() as tx:
        await tx.agents.add(off)
    owner = owner_of(off)
    await told(transactions, off, "Said while it was off.")
    assert await lesson_of(transactions, owner) is None
    on = await switched(transactions, off, on=True)
    assert await lesson_of(transactions, owner) is None
    heard = await told(transactions, on, "Said while it was on.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    assert [said.message_id for said in lesson.said] == [heard]
    await switched(transactions, on, on=False)
    assert await lesson_of(transactions, owner) is None
    assert not await learn(transactions, owner, lesson, Changes((new("Too late."),)))
    assert await contents(transactions, owner) == set()


async def test_a_lesson_is_of_one_agent_and_bounded(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    other = await remembering(transactions, owner, "Bob")
    for number in range(MOST_SAID + 2):
        await told(transactions, one, f"first {number}")
    await told(transactions, other, "second")
    seen = []
    while lesson := await lesson_of(transactions, owner):
        seen.append((lesson.agent_id, [said.text for said in lesson.said], lesson.has_more))
        assert await learn(transactions, owner, lesson, Changes())
    firsts = [f"first {number}" for number in range(MOST_SAID + 2)]
    assert seen == [
        (one.agent_id, firsts[:MOST_SAID], True),
        (one.agent_id, firsts[MOST_SAID:], True),
        (other.agent_id, ["second"], False),
    ]


async def test_of_a_long_message_beginning_and_end_are_looked_at(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    await told(transactions, one, "begin " + "界" * 90_000 + " end", answer="x" * 5_000 + " last words")
    await told(transactions, one, "short")
    lesson = await lesson_of(transactions, owner_of(one))
    assert lesson is not None
    long, short = lesson.said
    assert (long.text[:6], long.text[-4:], len(long.text)) == ("begin ", " end", 4003)
    assert (short.text, len(short.before), short.before[-11:]) == ("short", 1000, " last words")


async def test_of_two_who_learn_the_same_at_once_one_does(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await told(transactions, one, "I am Ann.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    done = await asyncio.gather(
        *(learn(transactions, owner, lesson, Changes((new(f"From {number}."),))) for number in range(6))
    )
    assert done.count(True) == 1
    assert await contents(transactions, owner) == {f"From {done.index(True)}."}


async def test_who_learns_from_older_memories_learns_anew(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await told(transactions, one, "I am Ann.", "a")
    await told(transactions, one, "I am Bea.", "b")
    first, second = await lesson_of(transactions, owner, "a"), await lesson_of(transactions, owner, "b")
    assert first is not None
    assert second is not None
    assert await learn(transactions, owner, first, Changes((new("Ann."),)), "a")
    assert not await learn(transactions, owner, second, Changes((new("Bea."),)), "b")
    again = await lesson_of(transactions, owner, "b")
    assert again is not None
    assert await learn(transactions, owner, again, Changes((new("Bea."),)), "b")
    assert await contents(transactions, owner) == {"Ann.", "Bea."}


async def test_a_lesson_of_a_dialog_that_went_or_was_begun_anew_teaches_nothing(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await told(transactions, one, "I am Ann.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    await remove_dialog(transactions, owner)
    assert await lesson_of(transactions, owner) is None
    assert not await learn(transactions, owner, lesson, Changes((new("Ann."),)))
    async with transactions.autocommit() as tx:
        assert await tx.memories.failed(DIALOG, lesson, owner=owner) == 0
    await told(transactions, one, "Other words.")
    assert not await learn(transactions, owner, lesson, Changes((new("Ann."),)))
    assert await contents(transactions, owner) == set()


async def test_a_lesson_of_an_agent_or_account_that_is_gone_teaches_nothing(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await taught(transactions, one, "Kept so far.")
    await told(transactions, one, "I am Ann.")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    async with transactions.begin() as tx:
        await tx.agents.remove(one)
    assert await contents(transactions, owner) == set()
    assert await lesson_of(transactions, owner) is None
    assert not await learn(transactions, owner, lesson, Changes((new("Ann."),)))
    async with transactions.begin() as tx:
        await tx.users.remove(owner)
    assert not await learn(transactions, owner, lesson, Changes((new("Ann."),)))
    for asked in (lesson_of(transactions, owner), listed(transactions, owner), forget(transactions, owner)):
        with pytest.raises(Unauthenticated):
            await asked


async def test_an_account_goes_with_all_that_was_learnt_of_it(transactions: DatabaseTransactions) -> None:
    one, other = await remembering(transactions), await remembering(transactions)
    await taught(transactions, one, "Gone.")
    await taught(transactions, other, "Stays.")
    async with transactions.begin() as tx:
        await tx.users.remove(owner_of(one))
    assert await known(transactions, one) == []
    assert await contents(transactions, owner_of(other)) == {"Stays."}


async def test_deleting_a_dialog_deletes_what_only_it_taught(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    only, both = await taught(transactions, one, "Only.", "Both.", dialog_id="a")
    message_id = await told(transactions, one, "Both again.", "b")
    lesson = await lesson_of(transactions, owner, "b")
    assert lesson is not None
    assert await learn(transactions, owner, lesson, Changes(confirmed={both: message_id}), "b")
    await remove_dialog(transactions, owner, "a")
    (left,) = await listed(transactions, owner)
    assert (left.memory_id, left.dialog_id, left.message_id) == (both, "b", message_id)
    assert only != both
    await remove_dialog(transactions, owner, "b")
    assert await listed(transactions, owner) == []


async def test_two_dialogs_that_taught_the_same_and_go_at_once_leave_nothing(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    ids = await taught(transactions, one, *(f"Memory {number}." for number in range(20)), dialog_id="a")
    for other in ("b", "c", "d"):
        message_id = await told(transactions, one, "again", other)
        lesson = await lesson_of(transactions, owner, other)
        assert lesson is not None
        assert await learn(transactions, owner, lesson, Changes(confirmed=dict.fromkeys(ids, message_id)), other)
    await asyncio.gather(*(remove_dialog(transactions, owner, gone) for gone in "abcd"))
    assert await listed(transactions, owner) == []


async def test_a_dialog_that_goes_while_another_teaches_the_same_takes_nothing_from_it(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    for turn in range(8):
        here, there = f"a{turn}", f"b{turn}"
        (memory_id,) = await taught(transactions, one, f"Turn {turn}.", dialog_id=here)
        message_id = await told(transactions, one, "again", there)
        lesson = await lesson_of(transactions, owner, there)
        assert lesson is not None
        changes = Changes(confirmed={memory_id: message_id})
        learnt, _ = await asyncio.gather(
            learn(transactions, owner, lesson, changes, there), remove_dialog(transactions, owner, here)
        )
        left = await contents(transactions, owner)
        assert (f"Turn {turn}." in left) == learnt


async def test_what_was_forgotten_does_not_come_back_from_an_old_exchange(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await taught(transactions, one, "Forgotten.", now=seconds(50))
    await told(transactions, one, "Asked before all is forgotten.", at=seconds(60))
    under_way = await lesson_of(transactions, owner)
    assert under_way is not None
    await forget(transactions, owner)
    assert not await learn(transactions, owner, under_way, Changes((new("Back."),)))
    assert await lesson_of(transactions, owner) is None
    assert await contents(transactions, owner) == set()
    asked = await told(transactions, one, "Asked later.", at=seconds(101))
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    assert [said.message_id for said in lesson.said] == [asked]


async def test_all_can_be_forgotten_before_anything_was_learnt(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await told(transactions, one, "I am Ann.")
    under_way = await lesson_of(transactions, owner)
    assert under_way is not None
    await forget(transactions, owner, one.agent_id)
    assert not await learn(transactions, owner, under_way, Changes((new("Ann."),)))


async def test_one_agent_can_forget_and_the_other_remembers(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    other = await remembering(transactions, owner_of(one), "Bob")
    await taught(transactions, one, "One.")
    await taught(transactions, other, "Other.")
    await forget(transactions, owner_of(one), one.agent_id)
    assert await contents(transactions, owner_of(one)) == {"Other."}
    assert await listed(transactions, owner_of(one), one.agent_id) == []


async def test_a_memory_that_is_deleted_is_gone_and_changes_what_is_under_way(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    gone, left = await taught(transactions, one, "Gone.", "Left.")
    await told(transactions, one, "Gone, as I said.")
    under_way = await lesson_of(transactions, owner)
    assert under_way is not None
    async with transactions.autocommit() as tx:
        await tx.memories.remove(gone, LATER, owner=owner)
        with pytest.raises(NotFound, match="memory"):
            await tx.memories.remove(gone, LATER, owner=owner)
    assert [memory.memory_id for memory in await listed(transactions, owner)] == [left]
    confirmed = Changes(confirmed={gone: under_way.said[0].message_id})
    assert not await learn(transactions, owner, under_way, confirmed)


async def test_another_users_memories_are_nobodys_else(transactions: DatabaseTransactions) -> None:
    one, other = await remembering(transactions), await remembering(transactions)
    (mine,) = await taught(transactions, one, "Mine.")
    theirs = owner_of(other)
    async with transactions.autocommit() as tx:
        with pytest.raises(NotFound):
            await tx.memories.get(mine, owner=theirs)
        with pytest.raises(NotFound):
            await tx.memories.remove(mine, LATER, owner=theirs)
        with pytest.raises(NotFound, match="agent"):
            await tx.memories.remove_all(one.agent_id, LATER, owner=theirs)
        assert await tx.memories.list(Window(), one.agent_id, owner=theirs) == []
        assert await tx.memories.known(one.agent_id, "", 0, owner=theirs) == []
        await tx.memories.remove_all(None, LATER, owner=theirs)
        with pytest.raises(Unauthenticated):
            await tx.memories.remove(mine, LATER, owner=NOBODY)
    assert await contents(transactions, owner_of(one)) == {"Mine."}


async def test_the_agent_of_everybody_keeps_each_ones_memories_apart(transactions: DatabaseTransactions) -> None:
    one, other = await remembering(transactions), await remembering(transactions)
    await taught(transactions, one, "Of one.", dialog_id="same")
    await taught(transactions, other, "Of the other.", dialog_id="same")
    await remove_dialog(transactions, owner_of(one), "same")
    assert await contents(transactions, owner_of(one)) == set()
    assert await contents(transactions, owner_of(other)) == {"Of the other."}


async def test_vectors_come_when_they_are_needed_and_of_the_model_that_is_asked(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    one = await remembering(transactions)
    await told(transactions, one, "x")
    lesson = await lesson_of(transactions, owner_of(one))
    assert lesson is not None
    vector = Vector(b"\x00\x00\x80\x3f")
    added = (new("One.", vector=vector, model="m"), new("Two."), new("Three.", vector=vector, model="other"))
    assert await learn(transactions, owner_of(one), lesson, Changes(added))
    statements.clear()
    assert {one.content: one.vector for one in await known(transactions, one, "m", few=3)} == {
        "One.": vector,
        "Two.": None,
        "Three.": None,
    }
    assert len(statements) == 1
    assert {one.vector for one in await known(transactions, one, "m", few=14)} == {None}


async def test_lists_are_paged_newest_first_and_a_lesson_is_one_statement(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    for number in range(5):
        await taught(transactions, one, f"{number}.", f"{number}!", now=seconds(number))
    whole = await listed(transactions, owner)
    assert [memory.created_at for memory in whole] == [seconds(number) for number in (4, 4, 3, 3, 2, 2, 1, 1, 0, 0)]
    assert whole == await listed(transactions, owner, one.agent_id)
    for number in range(60):
        await told(transactions, one, f"later {number}", at=seconds(200))
    statements.clear()
    lesson = await lesson_of(transactions, owner)
    assert len(statements) == 1
    assert lesson is not None
    # Of very many the newest fifty are left.
    assert lesson.said[0].text == "later 10"


async def test_failures_are_counted_until_a_lesson_is_learnt(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await told(transactions, one, "x")
    lesson = await lesson_of(transactions, owner)
    assert lesson is not None
    async with transactions.autocommit() as tx:
        assert [await tx.memories.failed(DIALOG, lesson, owner=owner) for _ in range(2)] == [1, 2]
        again = await tx.memories.lesson(DIALOG, owner=owner)
    assert again is not None
    assert again.failures == 2
    assert await learn(transactions, owner, again, Changes())
    await told(transactions, one, "y")
    after = await lesson_of(transactions, owner)
    assert after is not None
    assert after.failures == 0


async def test_what_is_replaced_is_gone_and_the_new_has_its_own_source(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    (old,) = await taught(transactions, one, "Lives in Rome.", dialog_id="a")
    message_id = await told(transactions, one, "I moved to Bath.", "b")
    lesson = await lesson_of(transactions, owner, "b")
    assert lesson is not None
    changes = Changes((new("Lives in Bath.", message_id),), removed=(old,), useful=(new_memory_id(),))
    assert await learn(transactions, owner, lesson, changes, "b")
    await remove_dialog(transactions, owner, "a")
    assert await contents(transactions, owner) == {"Lives in Bath."}
    assert len(await known(transactions, one)) == 1 <= MOST
