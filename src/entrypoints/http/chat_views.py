"""What the stream and the history show alike."""

from msgspec import UNSET, Struct, UnsetType

from domain.conversation.conversation import Usage
from domain.dialogs.messages import Citation, ToolStep


class StepView(Struct):
    """A step of a tool call."""

    status: str
    title: str
    message: str
    tool_call_id: str
    tool_name: str
    tool_type: str
    arguments: str | UnsetType = UNSET
    duration_ms: int | UnsetType = UNSET

    @classmethod
    def of(cls, step: ToolStep) -> "StepView":
        return cls(
            step.status,
            step.title,
            step.message,
            step.tool_call_id,
            step.tool_name,
            step.tool_type,
            UNSET if step.arguments is None else step.arguments,
            UNSET if step.duration_ms is None else step.duration_ms,
        )


class CitationView(Struct):
    """A passage that the answer may cite. `start` and `end` are characters of the parsed document."""

    index: int
    content: str
    file_name: str
    knowledge_id: str
    knowledge_file_id: str
    page: int | None
    start: int
    end: int
    score: float

    @classmethod
    def of(cls, one: Citation) -> "CitationView":
        return cls(
            one.index,
            one.content,
            one.file_name,
            one.knowledge_id,
            one.knowledge_file_id,
            one.page,
            one.start,
            one.end,
            one.score,
        )


class UsageView(Struct):
    """Tokens. `estimated` when the provider reported none."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool

    @classmethod
    def of(cls, usage: Usage) -> "UsageView":
        return cls(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.estimated)
