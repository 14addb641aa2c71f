"""What is said to a model and what it answers, in no vendor's words."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from domain.conversation.answer_schemas import AnswerSchema
from domain.conversation.tool_choice import AS_IT_LIKES, ToolChoice
from domain.ids import FileId
from domain.tokens import estimate, reported
from domain.tools.tools import ToolCall, ToolResult, ToolSpec

_FRAME_TOKENS: Final = 4
"""For a turn's role and delimiters, and for a tool call's or result's frame."""
IMAGE_TOKENS: Final = 1_600
"""What an image of at most 1,568 pixels costs, roughly, at any vendor."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` includes `cached_tokens`. `estimated` when the provider reported none."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    @classmethod
    def reported(cls, sent: object, written: object, cached: object = None) -> "Usage | None":
        """From what a provider says that it counted, which may be anything; None where it counted nothing."""
        counts = reported(sent), reported(written)
        if counts == (None, None):
            return None
        input_tokens, output_tokens = (count or 0 for count in counts)
        return cls(input_tokens, output_tokens, min(reported(cached) or 0, input_tokens))

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
        )


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Image:
    """An image's bytes. `media_type` is one of image/png, image/jpeg, image/webp, image/gif.

    `file_id`: the file of the user that it was made of, and can be made of again.
    """

    media_type: str
    data: bytes
    file_id: FileId | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ReasoningBlock:
    """Reasoning that a vendor wants back unchanged with tool results.

    `signature` is opaque; with `redacted` the text is empty and `signature` holds the vendor's encrypted data.
    """

    text: str
    signature: str
    redacted: bool = False


@dataclass(frozen=True, slots=True)
class UserTurn:
    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: tuple[ReasoningBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolImage:
    """An image of a call's result, and the number under which the result's text tells of it."""

    call_id: str
    number: int
    image: Image


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """The results of every call of the assistant turn before it, in its order.

    `images` are for models that see, and kept nowhere else: the text of the results tells of each.
    """

    results: tuple[ToolResult, ...]
    images: tuple[ToolImage, ...] = ()

    def images_of(self, result: ToolResult) -> list[ToolImage]:
        return [one for one in self.images if one.call_id == result.call_id]


Turn = UserTurn | AssistantTurn | ToolTurn


def tokens_of(turn: Turn) -> int:
    """The tokens of a turn's text, images, calls and results, roughly."""
    match turn:
        case UserTurn(text, images):
            return _FRAME_TOKENS + estimate(text) + IMAGE_TOKENS * len(images)
        case AssistantTurn(text, calls, reasoning):
            called = sum(_FRAME_TOKENS + estimate(call.name) + estimate(call.arguments) for call in calls)
            return _FRAME_TOKENS + estimate(text) + called + sum(estimate(block.text) for block in reasoning)
        case ToolTurn(results, shown):
            return sum(_FRAME_TOKENS + estimate(result.content) for result in results) + IMAGE_TOKENS * len(shown)


def images_in(turns: Iterable[Turn]) -> list[Image]:
    """All that a model is shown there."""
    found: list[Image] = []
    for turn in turns:
        match turn:
            case UserTurn(_, images):
                found += images
            case ToolTurn(_, shown):
                found += (one.image for one in shown)
    return found


def without_tool_images(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    return tuple(replace(turn, images=()) if isinstance(turn, ToolTurn) and turn.images else turn for turn in turns)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """`system` may be empty. The turns begin with a user's, end with a user's or a tool's, and alternate.

    `max_output_tokens` is for the answer: a vendor's reasoning may come on top. `output_left` is for both together:
    what the run's own limit leaves, None without one.
    """

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int | None = None
    output_left: int | None = None
    tool_choice: ToolChoice = AS_IT_LIKES
    answer_schema: AnswerSchema | None = None
    """The answer's text is wanted as JSON of that form, with no tools beside it."""
    stop: tuple[str, ...] = ()
    """The text of each turn ends before the first of these words. No provider is told."""


def request_tokens(request: ModelRequest) -> int:
    """An estimate of the tokens that the request puts in."""
    tools = sum(tool.tokens for tool in request.tools)
    schema = request.answer_schema.tokens if request.answer_schema else 0
    return estimate(request.system) + tools + schema + sum(map(tokens_of, request.turns))


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The model's visible reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the call number `index` of this turn; `call_id` and `name` come once, `arguments` in pieces."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The last event of a turn. `usage` is None when the provider reported none."""

    reason: FinishReason
    usage: Usage | None = None
    reasoning: tuple[ReasoningBlock, ...] = ()


ModelEvent = TextDelta | ReasoningDelta | ToolCallDelta | ModelFinished
