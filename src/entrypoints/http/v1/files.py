"""Files over HTTP: uploading, listing, removing, and reading them by signed addresses."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import HttpMethod, Request, Response, delete, get, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ASGIApp
from msgspec import Struct

from application.files.files import LinkedFile, ListFiles, RemoveFile, ServeFile, ShowFile
from application.files.uploads import UploadFile
from application.paging import Window
from application.ports.clock import Clock
from domain.ids import FileId
from entrypoints.http.auth import PUBLIC, Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.file_stream import FileStream
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete
from entrypoints.http.multipart_form import FIELD, MultipartFile
from entrypoints.http.server_address import server_address

TAGS: Final = ["files"]
AnyRequest = Request[Any, Any, Any]


class FileView(Struct):
    """`name` is what the client called it. Under `url` anybody can read the file for a while."""

    file_id: str
    id: str
    name: str
    kind: str
    media_type: str
    size: int
    sha256: str
    url: str
    create_time: str

    @classmethod
    def of(cls, linked: LinkedFile) -> "FileView":
        file = linked.file
        return cls(
            file.file_id,
            file.file_id,
            file.name,
            file.kind.value,
            file.kind.media_type,
            file.size,
            file.sha256,
            linked.url,
            rfc3339(file.created_at),
        )


class FileIdBody(Struct):
    file_id: Identifier | None = None


@dataclass
class UploadOperation(Operation):
    """Describes the form, which no parameter of the handler stands for: it is read as it arrives."""

    def __post_init__(self) -> None:
        part = Schema(
            type=OpenAPIType.STRING,
            content_media_type="application/octet-stream",
            description="Its name goes with it as `filename`.",
        )
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELD: part}, required=[FIELD])
        self.request_body = RequestBody({"multipart/form-data": OpenAPIMediaType(form)}, required=True)


CONTENT: Final = {
    200: ResponseSpec(
        bytes,
        generate_examples=False,
        media_type="application/octet-stream",
        description="The content, with its own media type, or with 206 the part that Range asks for.",
    )
}


@post(
    "/upload",
    status_code=200,
    summary="Upload a file; the answer is its signed address",
    tags=TAGS,
    operation_class=UploadOperation,
)
@inject
async def upload_file(
    request: AnyRequest, caller: FromDishka[Caller], upload: FromDishka[UploadFile], config: FromDishka[HttpConfig]
) -> Response[Envelope[str]]:
    linked = await upload(caller.user_id, MultipartFile(request), server_address(request, config))
    return Response(ok(linked.url), headers={"X-File-ID": linked.file.file_id})


@get("/files", summary="The caller's files, newest first", tags=TAGS)
@inject
async def list_files(
    request: AnyRequest,
    caller: FromDishka[Caller],
    listed: FromDishka[ListFiles],
    config: FromDishka[HttpConfig],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[FileView]:
    found = await listed(caller.user_id, Window.parse(limit, cursor), server_address(request, config))
    return page_of(found, FileView.of)


@get("/files/{file_id:str}", summary="One file", tags=TAGS)
@inject
async def show_file(
    request: AnyRequest,
    file_id: FromPath[str],
    caller: FromDishka[Caller],
    show: FromDishka[ShowFile],
    config: FromDishka[HttpConfig],
) -> Envelope[FileView]:
    wanted = FileId(from_path("file", file_id))
    return ok(FileView.of(await show(caller.user_id, wanted, server_address(request, config))))


@delete("/files", status_code=200, summary="Remove a file; its addresses open nothing any more", tags=TAGS)
@inject
async def delete_file(
    caller: FromDishka[Caller],
    remove: FromDishka[RemoveFile],
    data: JSONBody[FileIdBody | None] = None,
    file_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    await remove(caller.user_id, FileId(of_delete("file", data.file_id if data else None, file_id)))
    return ok(None)


@route(
    "/files/{file_id:str}/{name:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt=PUBLIC,
    summary="Read a file by a signed address",
    tags=TAGS,
    responses=CONTENT,
)
@inject
async def serve_file(
    request: AnyRequest,
    file_id: FromPath[str],
    name: FromPath[str],
    serve: FromDishka[ServeFile],
    clock: FromDishka[Clock],
    expires: Annotated[str, QueryParameter(description="Seconds since 1970")] = "",
    signature: FromQuery[str] = "",
) -> ASGIApp:
    served = await serve(FileId(from_path("file", file_id)), name, expires, signature)
    return FileStream(served, request.headers, clock.now())


file_handlers: list[HTTPRouteHandler] = [upload_file, list_files, show_file, delete_file, serve_file]
