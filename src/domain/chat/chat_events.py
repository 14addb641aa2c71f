"""What a run tells its readers, in order; RunFinished is the last, exactly once."""

from dataclasses import dataclass

from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus, Citation, ToolStep
from domain.ids import DialogId, MessageId, RunId
from domain.models.attempts import Attempt
from domain.models.models import Prices
from domain.tools.tools import ToolRound


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningText:
    text: str


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A tool call began, ended or failed."""

    step: ToolStep


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the answer may cite."""

    message: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class RunFailed:
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The model ended one turn of the loop. Kept, not shown. What it used is told with the attempt."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """Every call of a turn has its result. Kept, not shown."""

    round: ToolRound


@dataclass(frozen=True, slots=True)
class AttemptBegan:
    """A model's provider is asked. Told again with the first word, then with `first_token_ms`. Kept, not shown.

    `attempt` is what it was if nothing more is heard of it: interrupted, its request read, nothing written.
    """

    attempt: Attempt
    prices: Prices | None


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A model's provider answered or failed. Not told when it was stopped in the middle. Kept, not shown."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RunFinished:
    status: AnswerStatus
    content: str
    message_id: MessageId
    run_id: RunId
    dialog_id: DialogId
    model: str
    usage: Usage
    citations: tuple[Citation, ...]
    finish_reason: FinishReason | None


LoopEvent = (
    AnswerDelta | ReasoningText | ToolProgress | Retrieved | TurnFinished | RoundFinished | AttemptBegan | AttemptEnded
)
"""What the agent loop yields."""

ChatEvent = AnswerDelta | ReasoningText | ToolProgress | Retrieved | RunFailed | RunFinished
"""What readers are shown."""

KeptEvent = TurnFinished | RoundFinished | AttemptBegan | AttemptEnded
"""What readers are not shown, but the answer is put together from."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event in the log: `seq` counts from 1 without gaps, `at` is whole milliseconds since 1970.

    `kept` is what happened just before it, unseen.
    """

    seq: int
    at: int
    event: ChatEvent
    kept: tuple[KeptEvent, ...] = ()
