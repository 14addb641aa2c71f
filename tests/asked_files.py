"""Questions that bring files along, asked at a desk."""

from dataclasses import replace

from application.chat.chat import ChatRequest
from chat_desk import ChatDesk, read
from domain.conversation.conversation import ModelRequest, UserTurn
from domain.ids import UserId


def with_window(desk: ChatDesk, tokens: int, *, vision: bool = False) -> ChatDesk:
    spec = replace(desk.spec, context_window=tokens, vision=vision)
    return ChatDesk(desk.transactions, desk.model, storage=desk.storage, parser=desk.parser, spec=spec)


async def ask(desk: ChatDesk, actor: UserId, text: str, *addresses: str, dialog: str = "d") -> ModelRequest:
    """The first request that the model got."""
    known = len(desk.model.requests)
    await read(await desk.start(actor, ChatRequest(text, dialog, file_urls=addresses, background=True)))
    return desk.model.requests[known]


def said(request: ModelRequest) -> str:
    last = request.turns[-1]
    assert isinstance(last, UserTurn)
    return last.text
