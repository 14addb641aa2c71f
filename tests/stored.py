"""Objects for the persistence tests, valid and otherwise arbitrary."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.database.transactions import DatabaseTransactions
from application.ports.runs import LogPiece
from domain.accounts.users import ApiKey, RefreshToken, Role, User, UserName
from domain.agents.agents import DEFAULT_AGENT, Agent, AgentDraft
from domain.chat.chat_events import AnswerDelta, Recorded
from domain.conversation.conversation import Usage
from domain.dialogs.dialogs import Dialog
from domain.dialogs.messages import Answer, AnswerStatus, Citation, Question, StepStatus, ToolStep
from domain.files.files import Attachment, FileKind, StoredFile
from domain.ids import AgentId, ApiKeyId, DialogId, FamilyId, FileId, MessageId, RunId, UserId, new_id
from domain.runs.runs import Run, RunStatus
from domain.tools.tools import ToolCall, ToolResult, ToolRound, ToolType

NOW = datetime(2026, 11, 3, 12, 0, 0, 123456, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=30)
DIALOG = DialogId("dialog-123")
NOBODY = UserId("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def seconds(count: float) -> datetime:
    return NOW + timedelta(seconds=count)


def user(name: str | None = None) -> User:
    identifier = UserId(new_id())
    name = identifier[-20:] if name is None else name
    return User(identifier, UserName.parse(name), "hash", Role.USER, None, "", "", NOW, NOW)


def refresh_token(owner: UserId, family: str = "family", **changes: Any) -> RefreshToken:
    return replace(RefreshToken(new_id(), FamilyId(family), owner, seconds(3600)), **changes)


def api_key(owner: UserId, **changes: Any) -> ApiKey:
    return replace(ApiKey(ApiKeyId(new_id()), owner, "laptop", new_id(), "abcd", NOW), **changes)


def agent(owner: UserId, name: str = "Ada", **changes: Any) -> Agent:
    return replace(Agent.create(AgentId(new_id()), owner, AgentDraft(name=name), NOW), **changes)


def dialog(owner: UserId, dialog_id: str = DIALOG, **changes: Any) -> Dialog:
    return replace(Dialog(DialogId(dialog_id), owner, "Hi", DEFAULT_AGENT, "Assistant", "", NOW, NOW), **changes)


def question(dialog_id: str = DIALOG, **changes: Any) -> Question:
    return replace(Question(MessageId(new_id()), DialogId(dialog_id), "Why?", NOW), **changes)


def attachment(**changes: Any) -> Attachment:
    return replace(Attachment(FileId(new_id()), "a.pdf", FileKind.PDF, 12), **changes)


def stored_file(owner: UserId, **changes: Any) -> StoredFile:
    made = StoredFile(FileId(new_id()), owner, "a.pdf", FileKind.PDF, 12, sha256_of("a"), NOW)
    return replace(made, **changes)


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def open_answer(dialog_id: str = DIALOG, **changes: Any) -> Answer:
    running = Answer(MessageId(new_id()), DialogId(dialog_id), RunId(new_id()), AnswerStatus.RUNNING, NOW)
    return replace(running, **({"agent_id": DEFAULT_AGENT, "agent_version": 3} | changes))


def run_of(answer: Answer, owner: UserId, **changes: Any) -> Run:
    """The open run that makes an answer."""
    queued = Run(answer.run_id, owner, answer.dialog_id, answer.message_id, RunStatus.QUEUED, answer.created_at, LEASE)
    return replace(queued, **changes)


def piece(run_id: str, first_seq: int, *texts: str, at: int = 1_700_000_000_000) -> LogPiece:
    """A piece of answer text."""
    events = (Recorded(seq, at + seq, AnswerDelta(text)) for seq, text in enumerate(texts, first_seq))
    return LogPiece(RunId(run_id), tuple(events))


def finished(answer: Answer, content: str = "Because.", **changes: Any) -> Answer:
    return replace(answer, status=AnswerStatus.COMPLETE, content=content, closed_at=seconds(9), **changes)


def full_answer(answer: Answer) -> Answer:
    """Every field filled."""
    return finished(
        answer,
        "答案 🙂 % _ \\ '",
        model="gpt-4",
        usage=Usage(1000, 20, 300, estimated=True),
        steps=(ToolStep(StepStatus.ERROR, "t", "m", "c1", "calculator", ToolType.TOOL, '{"a":1}', 12),),
        rounds=(ToolRound("hm", (ToolCall("c1", "calculator", "{"),), (ToolResult("c1", "calculator", "x", True),)),),
        citations=(Citation(1, "text", "a.pdf", "k", "f", None, 0, 4, 0.5),),
        finish_reason="stop",
        failure="model_stalled",
    )


async def registered(transactions: DatabaseTransactions, name: str | None = None) -> UserId:
    """A stored user."""
    one = user(name)
    async with transactions.begin() as tx:
        await tx.users.add(one)
    return one.user_id


async def with_dialog(transactions: DatabaseTransactions, dialog_id: str = DIALOG) -> UserId:
    """A stored user with a dialog."""
    owner = await registered(transactions)
    async with transactions.begin() as tx:
        await tx.dialogs.add(dialog(owner, dialog_id))
    return owner


async def exchange(
    transactions: DatabaseTransactions, owner: UserId, number: int = 0, dialog_id: str = DIALOG
) -> tuple[Question, Answer]:
    """A stored question with its finished answer."""
    asked, answer = question(dialog_id, content=f"q{number}"), open_answer(dialog_id)
    async with transactions.begin() as tx:
        await tx.runs.open(run_of(answer, owner), asked, answer)
        closed = finished(answer, f"a{number}")
        assert await tx.runs.close(closed, (), owner=owner)
    return asked, closed


async def opened(transactions: DatabaseTransactions, owner: UserId, **changes: Any) -> tuple[Run, Question, Answer]:
    """A run of the owner's that is stored."""
    dialog_id = changes.get("dialog_id", DIALOG)
    asked, answer = question(dialog_id), open_answer(dialog_id)
    run = run_of(answer, owner, **changes)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run, asked, answer)
    return run, asked, answer


async def uploaded(transactions: DatabaseTransactions, owner: UserId, **changes: Any) -> StoredFile:
    """A file of the owner's that is stored."""
    file = stored_file(owner, **changes)
    async with transactions.autocommit() as tx:
        await tx.files.add(file)
    return file


async def close(transactions: DatabaseTransactions, answer: Answer, owner: UserId) -> bool:
    async with transactions.begin() as tx:
        return await tx.runs.close(answer, (), owner=owner)
