"""A person's word on a tool call that waits for it."""

import json
from typing import Annotated, Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta, Struct

from application.chat.approvals import ApproveCall
from domain.errors import InvalidValue
from domain.runs.pauses import Approval
from domain.runs.runs import parse_run_id
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, ok
from entrypoints.http.v1.chat import RunView

TAGS: Final = ["chat"]


class ApproveBody(Struct):
    """`tool_call_id` is that of the event whose status is APPROVAL. `arguments` replace the model's."""

    run_id: str
    tool_call_id: Annotated[str, Meta(max_length=1000)]
    approve: bool
    arguments: dict[str, Any] | None = None

    def approval(self) -> Approval:
        return Approval(self.tool_call_id, self.approve, _written(self.arguments) if self.approve else None)


def _written(arguments: dict[str, Any] | None) -> str | None:
    try:
        return None if arguments is None else json.dumps(arguments, ensure_ascii=False)
    except RecursionError as error:
        raise InvalidValue("arguments", "is nested too deeply") from error


@post(
    "/chat/approve",
    status_code=200,
    summary="Approve or decline a tool call that an answer waits with; after the last one the answer goes on",
    tags=TAGS,
    for_people=True,
)
@inject
async def approve_call(
    data: JSONBody[ApproveBody], caller: FromDishka[Caller], approve: FromDishka[ApproveCall]
) -> Envelope[RunView]:
    return ok(RunView.of(await approve(caller.user_id, parse_run_id(data.run_id), data.approval())))


approval_handlers: list[HTTPRouteHandler] = [approve_call]
