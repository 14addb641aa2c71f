"""People with agents that remember, what they said to them, and what is known of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import Agent
from domain.dialogs.messages import AnswerStatus
from domain.ids import AgentId, DialogId, MemoryId, MessageId, UserId, new_id
from domain.knowledge.embeddings import Vector
from domain.memory.memories import Changes, Known, Memory, New
from domain.memory.memory_lessons import Lesson
from stored import DIALOG, agent, dialog, finished, open_answer, question, registered, run_of, seconds

LATER = seconds(100)


def new_memory_id() -> MemoryId:
    return MemoryId(new_id())


def new(content: str, message_id: MessageId = MessageId("m"), vector: Vector | None = None, model: str = "") -> New:
    return New(new_memory_id(), content, message_id, vector, model if vector else None)


async def remembering(transactions: DatabaseTransactions, owner: UserId | None = None, name: str = "Ada") -> Agent:
    """A stored agent that remembers, of a stored user."""
    one = agent(owner or await registered(transactions), name, enable_memory=True)
    async with transactions.begin() as tx:
        await tx.agents.add(one)
    return one


async def switched(transactions: DatabaseTransactions, one: Agent, *, on: bool) -> Agent:
    changed = replace(one, enable_memory=on, version=one.version + 1)
    async with transactions.begin() as tx:
        await tx.agents.save(changed)
    return changed


def owner_of(one: Agent) -> UserId:
    assert one.user_id is not None
    return one.user_id


async def told(
    transactions: DatabaseTransactions,
    one: Agent,
    text: str,
    dialog_id: str = DIALOG,
    at: datetime = seconds(1),
    answer: str = "Well.",
    status: AnswerStatus = AnswerStatus.COMPLETE,
) -> MessageId:
    """A stored question that the agent answered; its id."""
    owner = owner_of(one)
    asked = question(dialog_id, content=text, created_at=at)
    opened = open_answer(dialog_id, agent_id=one.agent_id, agent_version=one.version, created_at=at)
    async with transactions.autocommit() as tx:
        if dialog_id not in {known.dialog_id for known in await tx.dialogs.list(Window(), owner=owner)}:
            await tx.dialogs.add(dialog(owner, dialog_id))
        await tx.runs.open(run_of(opened, owner), asked, opened)
        assert await tx.runs.close(replace(finished(opened, answer), status=status), (), owner=owner)
    return asked.message_id


async def lesson_of(transactions: DatabaseTransactions, owner: UserId, dialog_id: str = DIALOG) -> Lesson | None:
    async with transactions.autocommit() as tx:
        return await tx.memories.lesson(DialogId(dialog_id), owner=owner)


async def learn(
    transactions: DatabaseTransactions,
    owner: UserId,
    lesson: Lesson,
    changes: Changes,
    dialog_id: str = DIALOG,
    now: datetime = LATER,
) -> bool:
    async with transactions.autocommit() as tx:
        return await tx.memories.learn(DialogId(dialog_id), lesson, changes, now, owner=owner)


async def taught(
    transactions: DatabaseTransactions, one: Agent, *contents: str, dialog_id: str = DIALOG, now: datetime = LATER
) -> list[MemoryId]:
    """Stored memories that a question of that dialog taught."""
    message_id = await told(transactions, one, " ".join(contents), dialog_id, at=now)
    lesson = await lesson_of(transactions, owner_of(one), dialog_id)
    assert lesson is not None
    added = tuple(new(content, message_id) for content in contents)
    assert await learn(transactions, owner_of(one), lesson, Changes(added), dialog_id, now)
    return [made.memory_id for made in added]


async def listed(
    transactions: DatabaseTransactions, owner: UserId, agent_id: AgentId | None = None
) -> Sequence[Memory]:
    async with transactions.autocommit() as tx:
        return await tx.memories.list(Window(), agent_id, owner=owner)


async def contents(transactions: DatabaseTransactions, owner: UserId) -> set[str]:
    return {memory.content for memory in await listed(transactions, owner)}


async def known(transactions: DatabaseTransactions, one: Agent, model: str = "", few: int = 10**6) -> Sequence[Known]:
    async with transactions.autocommit() as tx:
        return await tx.memories.known(one.agent_id, model, few, owner=owner_of(one))
