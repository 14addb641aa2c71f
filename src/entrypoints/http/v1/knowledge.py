"""Knowledge bases over HTTP: making, changing, removing and searching them."""

from typing import Final, Literal

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Struct, UnsetType

from application.knowledge.knowledge import (
    ChangeKnowledge,
    CreateKnowledge,
    DeleteKnowledge,
    ListKnowledge,
    ShowKnowledge,
)
from application.knowledge.retrieval import RetrieveKnowledge
from application.paging import Window
from domain.ids import KnowledgeId
from domain.knowledge.embeddings import shown_name
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeDraft
from domain.knowledge.retrieval import Passage
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete

TAGS: Final = ["knowledge"]
PASSAGES: Final = 5


class KnowledgeView(Struct):
    """`count` and `file_size` are the number of its files and their bytes.

    `embedding_model` is null where retrieval is lexical alone.
    """

    knowledge_id: str
    id: str
    knowledge_name: str
    name: str
    knowledge_desc: str
    description: str
    count: int
    file_size: int
    embedding_model: str | None
    user_id: str
    create_time: str
    update_time: str

    @classmethod
    def of(cls, base: KnowledgeBase) -> "KnowledgeView":
        return cls(
            base.knowledge_id,
            base.knowledge_id,
            base.name,
            base.name,
            base.description,
            base.description,
            base.files,
            base.size,
            None if base.model is None else shown_name(base.model),
            base.user_id,
            rfc3339(base.created_at),
            rfc3339(base.updated_at),
        )


class PassageView(Struct):
    """`content` is the parsed text of the file from the character `start` to `end`, exactly."""

    content: str
    score: float
    knowledge_id: str
    knowledge_file_id: str
    file_name: str
    page: int | None
    start: int
    end: int

    @classmethod
    def of(cls, passage: Passage) -> "PassageView":
        return cls(
            passage.content,
            passage.score,
            passage.knowledge_id,
            passage.knowledge_file_id,
            passage.file_name,
            passage.page,
            passage.start,
            passage.end,
        )


class RetrievalEnvelope(Struct, kw_only=True):
    """`retrieval` and `reason` are there only where some of it was found by words alone."""

    status_code: int = 200
    status_message: str = "SUCCESS"
    data: list[PassageView] | str
    retrieval: Literal["lexical"] | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class KnowledgeFields(Struct, kw_only=True):
    """`name` and `description` mean the same as `knowledge_name` and `knowledge_desc`, which go first."""

    knowledge_name: str | None = None
    name: str | None = None
    knowledge_desc: str | None = None
    description: str | None = None

    def draft(self) -> KnowledgeDraft:
        return KnowledgeDraft(
            self.name if self.knowledge_name is None else self.knowledge_name,
            self.description if self.knowledge_desc is None else self.knowledge_desc,
        )


class CreateKnowledgeBody(KnowledgeFields, kw_only=True):
    """A name is required, as `knowledge_name` or `name`."""


class ChangeKnowledgeBody(KnowledgeFields, kw_only=True):
    """Changes only the fields that are present and not null."""

    knowledge_id: Identifier


class KnowledgeIdBody(Struct):
    knowledge_id: Identifier | None = None


class RetrievalBody(Struct):
    """`top_k` is 1 to 50, 5 when absent; `min_score` 0 to 1. `format` "text" gives one string."""

    query: str
    knowledge_id: Identifier | list[Identifier]
    top_k: int | None = None
    min_score: float | None = None
    format: Literal["text"] | None = None


@post("/knowledge/create", status_code=200, summary="Make a knowledge base", tags=TAGS)
@inject
async def create_knowledge(
    data: JSONBody[CreateKnowledgeBody], caller: FromDishka[Caller], create: FromDishka[CreateKnowledge]
) -> Envelope[KnowledgeView]:
    return ok(KnowledgeView.of(await create(caller.user_id, data.draft())))


@get("/knowledge/select", summary="The caller's knowledge bases, newest first", tags=TAGS)
@inject
async def list_knowledge(
    caller: FromDishka[Caller], listed: FromDishka[ListKnowledge], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[KnowledgeView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), KnowledgeView.of)


@get("/knowledge/{knowledge_id:str}", summary="One knowledge base", tags=TAGS)
@inject
async def show_knowledge(
    knowledge_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowKnowledge]
) -> Envelope[KnowledgeView]:
    return ok(KnowledgeView.of(await show(caller.user_id, KnowledgeId(from_path("knowledge", knowledge_id)))))


@put("/knowledge/update", summary="Change the fields of a knowledge base that are present", tags=TAGS)
@inject
async def change_knowledge(
    data: JSONBody[ChangeKnowledgeBody], caller: FromDishka[Caller], change: FromDishka[ChangeKnowledge]
) -> Envelope[KnowledgeView]:
    return ok(KnowledgeView.of(await change(caller.user_id, KnowledgeId(data.knowledge_id), data.draft())))


@delete("/knowledge/delete", status_code=200, summary="Remove a knowledge base with all that is in it", tags=TAGS)
@inject
async def delete_knowledge(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteKnowledge],
    data: JSONBody[KnowledgeIdBody | None] = None,
    knowledge_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    wanted = of_delete("knowledge", data.knowledge_id if data else None, knowledge_id)
    await remove(caller.user_id, KnowledgeId(wanted))
    return ok(None)


@post("/knowledge/retrieval", status_code=200, summary="Passages that answer a question, best first", tags=TAGS)
@inject
async def retrieve_knowledge(
    data: JSONBody[RetrievalBody], caller: FromDishka[Caller], retrieve: FromDishka[RetrieveKnowledge]
) -> RetrievalEnvelope:
    wanted = [data.knowledge_id] if isinstance(data.knowledge_id, str) else data.knowledge_id
    top_k = PASSAGES if data.top_k is None else data.top_k
    found = await retrieve(caller.user_id, data.query, wanted, top_k, data.min_score)
    passages = [PassageView.of(passage) for passage in found.passages]
    answer = RetrievalEnvelope(data="\n".join(one.content for one in passages) if data.format else passages)
    if found.lexical_only is not None:
        answer.retrieval, answer.reason = "lexical", found.lexical_only
    return answer


knowledge_handlers: list[HTTPRouteHandler] = [
    create_knowledge,
    list_knowledge,
    show_knowledge,
    change_knowledge,
    delete_knowledge,
    retrieve_knowledge,
]
