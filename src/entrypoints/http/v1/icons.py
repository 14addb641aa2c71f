"""Preset avatars: a few drawings of our own, that anybody may load."""

from pathlib import Path
from typing import Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from domain.errors import NotFound
from entrypoints.http.auth import PUBLIC
from entrypoints.http.envelope import Envelope, ok
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.server_address import server_address

_FOLDER: Final = Path(__file__).parent.parent / "static" / "icons"
ICONS: Final = {path.name: path.read_bytes() for path in sorted(_FOLDER.glob("*.svg"))}
_HEADERS: Final = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


@get("/user/icons", summary="Addresses of preset avatars", tags=["users"])
@inject
async def list_icons(request: Request[Any, Any, Any], config: FromDishka[HttpConfig]) -> Envelope[list[str]]:
    folder = f"{server_address(request, config)}{request.scope['path'].rstrip('/')}"
    return ok([f"{folder}/{name}" for name in ICONS])


@get("/user/icons/{name:str}", opt=PUBLIC, summary="A preset avatar", tags=["users"])
async def show_icon(name: FromPath[str]) -> Response[bytes]:
    if name not in ICONS:
        raise NotFound("icon", name)
    return Response(ICONS[name], media_type="image/svg+xml", headers=_HEADERS)


icon_handlers: list[HTTPRouteHandler] = [list_icons, show_icon]
