"""Messages as they are stored: questions and answers, strictly alternating."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.conversation.conversation import Usage
from domain.files.files import Attachment
from domain.ids import AgentId, DialogId, MessageId, RunId
from domain.models.attempts import Attempt
from domain.tools.tools import ToolRound, ToolType


class AnswerStatus(StrEnum):
    """How an answer ended. RUNNING only while its run lives."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    FAILED = "failed"


class Feedback(StrEnum):
    LIKE = "like"
    DOWN = "down"


class StepStatus(StrEnum):
    START = "START"
    END = "END"
    ERROR = "ERROR"
    APPROVAL = "APPROVAL"
    """It waits for a person."""
    HANDED = "HANDED"
    """The program that asked makes it, with a tool of its own."""


@dataclass(frozen=True, slots=True)
class ToolStep:
    """What a person is shown of a tool call. `arguments` is JSON text; `message` the shortened result or reason."""

    status: StepStatus
    title: str
    message: str
    tool_call_id: str
    tool_name: str
    tool_type: ToolType
    arguments: str | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that an answer may cite. `start` and `end` are characters of the parsed document."""

    index: int
    content: str
    file_name: str
    knowledge_id: str
    knowledge_file_id: str
    page: int | None
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Question:
    message_id: MessageId
    dialog_id: DialogId
    content: str
    created_at: datetime
    feedback: Feedback | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`failure` is the code of the error that ended a failed answer."""

    message_id: MessageId
    dialog_id: DialogId
    run_id: RunId
    status: AnswerStatus
    created_at: datetime
    content: str = ""
    model: str = ""
    usage: Usage = Usage()
    steps: tuple[ToolStep, ...] = ()
    rounds: tuple[ToolRound, ...] = ()
    citations: tuple[Citation, ...] = ()
    finish_reason: str | None = None
    failure: str | None = None
    closed_at: datetime | None = None
    feedback: Feedback | None = None
    attempts: tuple[Attempt, ...] = ()
    """Only while it is being stored: they are kept in the ledger of usage."""
    agent_id: AgentId | None = None
    agent_version: int | None = None
    """Who answered, as it was then. The agent may have changed since, or be gone."""


Message = Question | Answer


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer, as far as later answers need them."""

    question: str
    answer: str
    rounds: tuple[ToolRound, ...] = ()
    attachments: tuple[Attachment, ...] = ()
