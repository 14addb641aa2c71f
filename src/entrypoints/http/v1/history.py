"""The messages of a dialog, and what people think of them."""

from dishka.integrations.litestar import FromDishka, inject
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody
from msgspec import UNSET, Struct, UnsetType

from application.dialogs import RateMessage, ShowHistory
from application.paging import Window
from domain.conversation import Usage
from domain.ids import DialogId, MessageId
from domain.messages import Answer, Citation, Feedback, Message, Question, ToolStep
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path


class StepView(Struct):
    """A step of a tool call, as the stream's `event` frames show it."""

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


class MessageView(Struct):
    """`status` is complete, interrupted, stopped or failed; running while the answer is still being written.

    `error` is the code of what ended a failed answer. `feedback` is like, down or null.
    """

    message_id: str
    id: str
    dialog_id: str
    role: str
    content: str
    create_time: str
    status: str = "complete"
    attachments: list[str] = []
    events: list[StepView] = []
    citations: list[CitationView] = []
    model: str | None = None
    usage: UsageView | None = None
    run_id: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    feedback: str | None = None

    @classmethod
    def of(cls, message: Message) -> "MessageView":
        view = cls(
            message_id=message.message_id,
            id=message.message_id,
            dialog_id=message.dialog_id,
            role="user" if isinstance(message, Question) else "assistant",
            content=message.content,
            create_time=rfc3339(message.created_at),
            feedback=message.feedback,
        )
        return view if isinstance(message, Question) else view._answered(message)

    def _answered(self, answer: Answer) -> "MessageView":
        self.status = answer.status
        self.events = [StepView.of(step) for step in answer.steps]
        self.citations = [CitationView.of(one) for one in answer.citations]
        self.model = answer.model or None
        self.usage = UsageView.of(answer.usage)
        self.run_id = answer.run_id
        self.finish_reason = answer.finish_reason
        self.error = answer.failure
        return self


class MessageIdBody(Struct):
    message_id: Identifier


@get("/history", summary="The messages of a dialog, oldest first", tags=["dialogs"])
@inject
async def show_history(
    dialog_id: FromQuery[str],
    caller: FromDishka[Caller],
    show: FromDishka[ShowHistory],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[MessageView]:
    wanted = DialogId(from_path("dialog", dialog_id))
    return page_of(await show(caller.user_id, wanted, Window.parse(limit, cursor)), MessageView.of)


@post("/message/like", status_code=200, summary="Say that a message is good", tags=["dialogs"])
@inject
async def like_message(
    data: JSONBody[MessageIdBody], caller: FromDishka[Caller], rate: FromDishka[RateMessage]
) -> Envelope[None]:
    await rate(caller.user_id, MessageId(data.message_id), Feedback.LIKE)
    return ok(None)


@post("/message/down", status_code=200, summary="Say that a message is not good", tags=["dialogs"])
@inject
async def down_message(
    data: JSONBody[MessageIdBody], caller: FromDishka[Caller], rate: FromDishka[RateMessage]
) -> Envelope[None]:
    await rate(caller.user_id, MessageId(data.message_id), Feedback.DOWN)
    return ok(None)


history_handlers: list[HTTPRouteHandler] = [show_history, like_message, down_message]
