"""The messages of a dialog, and what people think of them."""

from collections.abc import Mapping
from typing import Any

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from application.chat.attachments import LinkAttachments
from application.dialogs.dialogs import RateMessage, ShowHistory, ShowMessage
from application.paging import Window
from domain.dialogs.messages import Answer, Feedback, Message, Question
from domain.files.files import Attachment
from domain.ids import DialogId, FileId, MessageId
from entrypoints.http.auth import Caller
from entrypoints.http.chat_views import CitationView, StepView, UsageView
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path
from entrypoints.http.server_address import server_address


class AttachmentView(Struct):
    """A file that came with a question. Under `url` anybody can read it for a while, unless it was removed."""

    file_id: str
    name: str
    kind: str
    size: int
    url: str

    @classmethod
    def of(cls, file: Attachment, url: str) -> "AttachmentView":
        return cls(file.file_id, file.name, file.kind.value, file.size, url)


class MessageView(Struct):
    """`status` is complete, interrupted, stopped or failed; running while the answer is still being written.

    `error` is the code of what ended a failed answer. `feedback` is like, down or null. `agent_id` and
    `agent_version` say who answered, and are null for questions.
    """

    message_id: str
    id: str
    dialog_id: str
    role: str
    content: str
    create_time: str
    status: str = "complete"
    attachments: list[AttachmentView] = []
    events: list[StepView] = []
    citations: list[CitationView] = []
    model: str | None = None
    usage: UsageView | None = None
    run_id: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    feedback: str | None = None
    agent_id: str | None = None
    agent_version: int | None = None

    @classmethod
    def of(cls, message: Message, urls: Mapping[FileId, str]) -> "MessageView":
        view = cls(
            message_id=message.message_id,
            id=message.message_id,
            dialog_id=message.dialog_id,
            role="user" if isinstance(message, Question) else "assistant",
            content=message.content,
            create_time=rfc3339(message.created_at),
            feedback=message.feedback,
        )
        if not isinstance(message, Question):
            return view._answered(message)
        view.attachments = [AttachmentView.of(file, urls[file.file_id]) for file in message.attachments]
        return view

    def _answered(self, answer: Answer) -> "MessageView":
        self.status = answer.status
        self.events = [StepView.of(step) for step in answer.steps]
        self.citations = [CitationView.of(one) for one in answer.citations]
        self.model = answer.model or None
        self.usage = UsageView.of(answer.usage)
        self.run_id = answer.run_id
        self.finish_reason = answer.finish_reason
        self.error = answer.failure
        self.agent_id = answer.agent_id
        self.agent_version = answer.agent_version
        return self


class MessageIdBody(Struct):
    message_id: Identifier


@get("/history", summary="The messages of a dialog, oldest first", tags=["dialogs"])
@inject
async def show_history(
    dialog_id: FromQuery[str],
    caller: FromDishka[Caller],
    show: FromDishka[ShowHistory],
    link: FromDishka[LinkAttachments],
    request: Request[Any, Any, Any],
    config: FromDishka[HttpConfig],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[MessageView]:
    wanted = DialogId(from_path("dialog", dialog_id))
    found = await show(caller.user_id, wanted, Window.parse(limit, cursor))
    urls = await link(found.items, server_address(request, config))
    return page_of(found, lambda message: MessageView.of(message, urls))


@get("/message/{message_id:str}", summary="One message", tags=["dialogs"])
@inject
async def show_message(
    message_id: FromPath[str],
    caller: FromDishka[Caller],
    show: FromDishka[ShowMessage],
    link: FromDishka[LinkAttachments],
    request: Request[Any, Any, Any],
    config: FromDishka[HttpConfig],
) -> Envelope[MessageView]:
    message = await show(caller.user_id, MessageId(from_path("message", message_id)))
    return ok(MessageView.of(message, await link([message], server_address(request, config))))


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


history_handlers: list[HTTPRouteHandler] = [show_history, show_message, like_message, down_message]
