"""What a user deleted stays deleted, whatever was said before it is still read, waits to be read, or is read again."""

import asyncio
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import hold
from domain.agents.agents import Agent
from domain.ids import MemoryId, ModelId
from domain.memory.forgotten_memories import MOST_FORGOTTEN, fingerprint
from remembering import contents, known, lesson_of, listed, owner_of, remembering, taught, told
from school import School, add, answer
from stored import seconds

ROME = "The user lives in Rome."


async def forget(transactions: DatabaseTransactions, one: Agent, memory_id: MemoryId, at: int = 300) -> None:
    async with transactions.autocommit() as tx:
        await tx.memories.remove(memory_id, seconds(at), owner=owner_of(one))


async def forget_all_known(transactions: DatabaseTransactions, one: Agent, at: int = 300) -> None:
    for memory in await listed(transactions, owner_of(one)):
        await forget(transactions, one, memory.memory_id, at)


async def test_a_memory_deleted_while_a_model_reads_of_it_does_not_come_back(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    await taught(transactions, one, ROME)
    await told(transactions, one, "As I said, I live in Rome. I like tea.", "b", at=seconds(200))
    gate = hold()
    repeated = answer({"op": "repeat", "notes": [1], "quote": "I live in Rome"})
    anew = answer(add("The user lives in rome!", "I live in Rome"), add("The user likes tea.", "I like tea"))
    school = School(transactions, [gate, *repeated], anew)
    learning = asyncio.create_task(school.learn(one, "b"))
    await gate.reached.wait()
    await forget_all_known(transactions, one)
    gate.release()
    await learning
    assert await contents(transactions, owner_of(one)) == {"The user likes tea."}
    assert school.ended == {"learnt": 2, "overtaken": 1}


async def test_a_message_that_waits_to_be_read_does_not_bring_it_back_and_a_later_one_does(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    await taught(transactions, one, ROME)
    await told(transactions, one, "I live in Rome.", "b", at=seconds(200))
    await forget_all_known(transactions, one)
    await School(transactions).learn(one, "b")
    assert await known(transactions, one) == []
    await told(transactions, one, "Yes, I live in Rome.", "b", at=seconds(301))
    await School(transactions).learn(one, "b")
    assert await contents(transactions, owner_of(one)) == {ROME}


async def test_what_takes_the_place_of_another_does_not_either(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    await taught(transactions, one, ROME)
    await told(transactions, one, "I live in Rome.", "b", at=seconds(200))
    await forget_all_known(transactions, one)
    await taught(transactions, one, "The user lives in Bath.", dialog_id="c", now=seconds(250))
    replaced = {"op": "replace", "notes": [1], "text": ROME, "quote": "I live in Rome"}
    await School(transactions, answer(replaced)).learn(one, "b")
    assert await contents(transactions, owner_of(one)) == {"The user lives in Bath."}


async def test_it_is_forgotten_for_that_user_and_agent_alone(transactions: DatabaseTransactions) -> None:
    one, other = await remembering(transactions), await remembering(transactions)
    second = await remembering(transactions, owner_of(one), "Bob")
    await taught(transactions, one, ROME)
    await told(transactions, other, "I live in Rome.", "b", at=seconds(200))
    await told(transactions, second, "I live in Rome.", "d", at=seconds(200))
    await forget_all_known(transactions, one)
    await School(transactions).learn(other, "b")
    await School(transactions).learn(second, "d")
    for learner in (other, second):
        assert [memory.content for memory in await known(transactions, learner)] == [ROME]
    marks = {fingerprint(owner_of(who), who.agent_id, ROME) for who in (one, other, second)}
    assert len(marks) == 3


async def marked(transactions: DatabaseTransactions, one: Agent) -> int:
    async with transactions.autocommit() as tx:
        return len((await tx.memories.forgotten(one.agent_id, owner=owner_of(one))).moments)


async def test_more_than_are_kept_let_what_was_asked_before_teach_nothing(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    owner = owner_of(one)
    await told(transactions, one, "I like thing0 and trees.", "old", at=seconds(90))
    for portion in range(2):
        names = [f"The user likes thing{portion * 150 + number}." for number in range(150)]
        await taught(transactions, one, *names, dialog_id=f"d{portion}", now=seconds(100 + portion))
        for memory in await listed(transactions, owner):
            await forget(transactions, one, memory.memory_id, at=150 + portion)
    assert 0 < await marked(transactions, one) <= MOST_FORGOTTEN
    assert await lesson_of(transactions, owner, "old") is None
    await told(transactions, one, "I like tea.", "new", at=seconds(200))
    assert await lesson_of(transactions, owner, "new") is not None
    async with transactions.autocommit() as tx:
        await tx.memories.remove_all(None, seconds(400), owner=owner)
    assert await marked(transactions, one) == 0


async def test_forgetting_all_hides_the_answers_that_were_given_before(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    await told(transactions, one, "I live in Rome.", "b", at=seconds(60), answer="Noted: you live in Rome. Right?")
    async with transactions.autocommit() as tx:
        await tx.memories.remove_all(None, seconds(100), owner=owner_of(one))
    await told(transactions, one, "Yes.", "b", at=seconds(200), answer="Rome it is. Do you like it?")
    await told(transactions, one, "Thanks.", "b", at=seconds(210))
    school = School(transactions, answer(add(ROME, "Yes"), add(ROME, "Thanks")))
    await school.learn(one, "b")
    said = school.shown()["said"]
    assert [one["before"] for one in said] == ["", "Rome it is. Do you like it?"]
    assert await known(transactions, one) == []


async def test_nothing_is_told_to_another_provider_where_the_agents_model_is_gone(
    transactions: DatabaseTransactions,
) -> None:
    one = await remembering(transactions)
    gone = replace(one, llm_id=ModelId("own-gone"), version=one.version + 1)
    async with transactions.begin() as tx:
        await tx.agents.save(gone)
    school = School(transactions, answer(add("The user has asthma.", "I have asthma")))
    await told(transactions, gone, "I have asthma.")
    assert await school.learn(gone) is None
    assert school.model.requests == []
    back = replace(gone, llm_id=None, version=gone.version + 1)
    async with transactions.begin() as tx:
        await tx.agents.save(back)
    await school.learn(back)
    assert await contents(transactions, owner_of(one)) == {"The user has asthma."}


@pytest.mark.parametrize("between", [1, 20])
async def test_results_that_a_caller_brought_are_no_lesson(transactions: DatabaseTransactions, between: int) -> None:
    one = await remembering(transactions)
    school = School(transactions, answer(add("The user likes tea.", "I like tea")))
    for number in range(between):
        await told(transactions, one, "[results of weather, news, …]", "b", at=seconds(200 + number))
    assert await school.learn(one, "b") is None
    assert school.model.requests == []
    await told(transactions, one, "[results of weather] say that I like tea.", "b", at=seconds(300))
    await told(transactions, one, "[results of weather]", "b", at=seconds(301))
    await school.learn(one, "b")
    assert [said["text"] for said in school.shown()["said"]] == ["[results of weather] say that I like tea."]


async def test_a_deleted_sentence_is_not_kept_in_words(transactions: DatabaseTransactions) -> None:
    one = await remembering(transactions)
    await taught(transactions, one, ROME)
    await forget_all_known(transactions, one)
    async with transactions.autocommit() as tx:
        marks = await tx.memories.forgotten(one.agent_id, owner=owner_of(one))
    (mark,) = marks.moments
    assert mark == fingerprint(owner_of(one), one.agent_id, "rome: user LIVES, in the")
    assert "rome" not in mark
