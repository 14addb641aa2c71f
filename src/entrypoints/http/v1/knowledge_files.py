"""Files of knowledge bases over HTTP: putting them in answers at once, the work is done in the background."""

from typing import Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from application.knowledge.knowledge_files import (
    AddKnowledgeFile,
    DeleteKnowledgeFile,
    ListKnowledgeFiles,
    RetryKnowledgeFile,
    ShowKnowledgeFile,
)
from application.paging import Window
from domain.ids import KnowledgeFileId, KnowledgeId
from domain.knowledge.knowledge import KnowledgeFile
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete

TAGS: Final = ["knowledge"]
KIND: Final = "knowledge_file"


class KnowledgeFileView(Struct):
    """`status` is process, success or fail; `stage` queued, parse, chunk, embed or done; `progress` 0 to 1.

    `error` is a sentence: why it failed, or why it will be tried again. `chunks` are those that are found already.
    """

    knowledge_file_id: str
    id: str
    knowledge_id: str
    file_id: str
    file_name: str
    file_size: int
    status: str
    stage: str
    progress: float
    error: str | None
    error_code: str | None
    chunks: int
    user_id: str
    create_time: str
    update_time: str

    @classmethod
    def of(cls, file: KnowledgeFile) -> "KnowledgeFileView":
        return cls(
            file.knowledge_file_id,
            file.knowledge_file_id,
            file.knowledge_id,
            file.file_id,
            file.name,
            file.size,
            file.status.value,
            file.stage.value,
            file.progress,
            file.error.message if file.error else None,
            file.error.code if file.error else None,
            file.chunks,
            file.user_id,
            rfc3339(file.created_at),
            rfc3339(file.updated_at),
        )


class AddKnowledgeFileBody(Struct):
    """`file_url` is the address that an upload gave. It is never fetched."""

    knowledge_id: Identifier
    file_url: str


class KnowledgeFileIdBody(Struct):
    knowledge_file_id: Identifier | None = None


class RetryBody(Struct):
    knowledge_file_id: Identifier


@post("/knowledge_file/create", status_code=200, summary="Put an uploaded file into a knowledge base", tags=TAGS)
@inject
async def add_knowledge_file(
    data: JSONBody[AddKnowledgeFileBody], caller: FromDishka[Caller], add: FromDishka[AddKnowledgeFile]
) -> Envelope[KnowledgeFileView]:
    added = await add(caller.user_id, KnowledgeId(data.knowledge_id), data.file_url)
    return ok(KnowledgeFileView.of(added))


@get("/knowledge_file/select", summary="The files of a knowledge base, newest first", tags=TAGS)
@inject
async def list_knowledge_files(
    knowledge_id: FromQuery[str],
    caller: FromDishka[Caller],
    listed: FromDishka[ListKnowledgeFiles],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[KnowledgeFileView]:
    wanted = KnowledgeId(from_path("knowledge", knowledge_id))
    return page_of(await listed(caller.user_id, wanted, Window.parse(limit, cursor)), KnowledgeFileView.of)


@get("/knowledge_file/status", summary="How far the work on a file is", tags=TAGS)
@inject
async def knowledge_file_status(
    knowledge_file_id: FromQuery[str], caller: FromDishka[Caller], show: FromDishka[ShowKnowledgeFile]
) -> Envelope[KnowledgeFileView]:
    return ok(KnowledgeFileView.of(await show(caller.user_id, KnowledgeFileId(from_path(KIND, knowledge_file_id)))))


@get("/knowledge_file/{knowledge_file_id:str}", summary="One file of a knowledge base", tags=TAGS)
@inject
async def show_knowledge_file(
    knowledge_file_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowKnowledgeFile]
) -> Envelope[KnowledgeFileView]:
    return ok(KnowledgeFileView.of(await show(caller.user_id, KnowledgeFileId(from_path(KIND, knowledge_file_id)))))


@delete(
    "/knowledge_file/delete",
    status_code=200,
    summary="Take a file out of its knowledge base; the upload stays",
    tags=TAGS,
)
@inject
async def delete_knowledge_file(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteKnowledgeFile],
    data: JSONBody[KnowledgeFileIdBody | None] = None,
    knowledge_file_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    wanted = of_delete(KIND, data.knowledge_file_id if data else None, knowledge_file_id)
    await remove(caller.user_id, KnowledgeFileId(wanted))
    return ok(None)


@post(
    "/knowledge_file/retry", status_code=200, summary="Begin the work on a file anew that failed or is done", tags=TAGS
)
@inject
async def retry_knowledge_file(
    data: JSONBody[RetryBody], caller: FromDishka[Caller], retry: FromDishka[RetryKnowledgeFile]
) -> Envelope[KnowledgeFileView]:
    return ok(KnowledgeFileView.of(await retry(caller.user_id, KnowledgeFileId(data.knowledge_file_id))))


knowledge_file_handlers: list[HTTPRouteHandler] = [
    add_knowledge_file,
    list_knowledge_files,
    knowledge_file_status,
    show_knowledge_file,
    delete_knowledge_file,
    retry_knowledge_file,
]
