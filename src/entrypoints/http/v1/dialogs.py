"""Dialogs over HTTP."""

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from application.dialogs.dialogs import CreateDialog, DeleteDialog, ListDialogs, RenameDialog, ShowDialog
from application.paging import Window
from domain.dialogs.dialogs import Dialog
from domain.ids import AgentId, DialogId
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete


class DialogView(Struct):
    """The agent's name and logo are those that it had when it was deleted, if it was."""

    dialog_id: str
    id: str
    name: str
    agent_id: str
    agent_name: str
    logo_url: str
    create_time: str
    update_time: str

    @classmethod
    def of(cls, dialog: Dialog) -> "DialogView":
        return cls(
            dialog.dialog_id,
            dialog.dialog_id,
            dialog.name,
            dialog.agent_id,
            dialog.agent_name,
            dialog.logo_url,
            rfc3339(dialog.created_at),
            rfc3339(dialog.updated_at),
        )


class CreateDialogBody(Struct):
    """Without an agent the default one answers."""

    name: str | None = None
    agent_id: str | None = None


class RenameDialogBody(Struct):
    dialog_id: Identifier
    name: str


class DialogIdBody(Struct):
    dialog_id: Identifier | None = None


@post("/dialog", status_code=200, summary="Begin a dialog", tags=["dialogs"])
@inject
async def create_dialog(
    caller: FromDishka[Caller], create: FromDishka[CreateDialog], data: JSONBody[CreateDialogBody | None] = None
) -> Envelope[DialogView]:
    wanted = data or CreateDialogBody()
    agent_id = AgentId(from_path("agent", wanted.agent_id)) if wanted.agent_id else None
    return ok(DialogView.of(await create(caller.user_id, name=wanted.name, agent_id=agent_id)))


@get("/dialog/list", summary="The caller's dialogs, newest first", tags=["dialogs"])
@inject
async def list_dialogs(
    caller: FromDishka[Caller], listed: FromDishka[ListDialogs], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[DialogView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), DialogView.of)


@get("/dialog/{dialog_id:str}", summary="One dialog, by its address", tags=["dialogs"])
@inject
async def show_dialog(
    dialog_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowDialog]
) -> Envelope[DialogView]:
    return ok(DialogView.of(await show(caller.user_id, DialogId(from_path("dialog", dialog_id)))))


@get("/dialog", summary="One dialog, whatever its id: also one that is called `list`", tags=["dialogs"])
@inject
async def find_dialog(
    dialog_id: FromQuery[str], caller: FromDishka[Caller], show: FromDishka[ShowDialog]
) -> Envelope[DialogView]:
    return ok(DialogView.of(await show(caller.user_id, DialogId(from_path("dialog", dialog_id)))))


@put("/dialog", summary="Rename a dialog", tags=["dialogs"])
@inject
async def rename_dialog(
    data: JSONBody[RenameDialogBody], caller: FromDishka[Caller], rename: FromDishka[RenameDialog]
) -> Envelope[DialogView]:
    return ok(DialogView.of(await rename(caller.user_id, DialogId(data.dialog_id), data.name)))


@delete("/dialog", status_code=200, summary="Remove a dialog with its messages", tags=["dialogs"])
@inject
async def delete_dialog(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteDialog],
    data: JSONBody[DialogIdBody | None] = None,
    dialog_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    await remove(caller.user_id, DialogId(of_delete("dialog", data.dialog_id if data else None, dialog_id)))
    return ok(None)


dialog_handlers: list[HTTPRouteHandler] = [
    create_dialog,
    list_dialogs,
    show_dialog,
    find_dialog,
    rename_dialog,
    delete_dialog,
]
