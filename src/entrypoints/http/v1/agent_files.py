"""Agents as documents over HTTP."""

import asyncio
from typing import Any, Final, Literal

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Raw, Struct, UnsetType

from application.agents.agent_export import ExportAgent
from application.agents.agent_import import ImportAgent, ImportedAgent
from application.files.file_headers import disposition
from domain.agents.agent_files import AgentFile, KnowledgeEntry, Need, Part, ServerEntry, ToolEntry, refuse_too_many
from domain.errors import InvalidValue
from domain.files.files import Attachment, FileKind
from domain.ids import AgentId, FileId
from domain.tools.mcp_servers import McpTransport
from domain.tools.user_tools import DOCUMENT_MAX, ApiDocument, AuthType
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, ok
from entrypoints.http.identifiers import from_path
from entrypoints.http.v1.agent_versions import MissingView
from entrypoints.http.v1.agents import AgentView

TAGS: Final = ["agents"]
FORMAT: Final = "agentchat.agent"
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of a document that is imported: an agent with all the tools that an account may have."""
SMALL: Final = 256 * 1024
"""Bytes of a document that is written in lines, for people and for version control."""
BYTES_OF_A_CHARACTER: Final = 4
_encode: Final = msgspec.json.Encoder().encode


class AgentPart(Struct, forbid_unknown_fields=True):
    """`model` is the name of a model; "" takes the default one. With `own_model` one of one's own comes first."""

    name: str
    description: str = ""
    logo_url: str = ""
    system_prompt: str = ""
    model: str = ""
    enable_memory: bool = False
    own_model: bool | UnsetType = UNSET


class ToolPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`openapi_schema` is OpenAPI as an object or as text. Of what a tool proves itself with only the type is said.

    Of a built-in tool there is nothing but the name and `require_approval`.
    """

    name: str
    built_in: bool = False
    display_name: str = ""
    description: str = ""
    logo_url: str = ""
    openapi_schema: Raw | UnsetType = UNSET
    auth_type: Literal["Bearer", "Basic", "APIKey", "Header"] | None = None
    require_approval: bool = False

    @classmethod
    def of(cls, entry: ToolEntry) -> "ToolPart":
        auth: Any = entry.auth_type and entry.auth_type.value
        return cls(
            entry.name,
            entry.built_in,
            entry.display_name,
            entry.description,
            entry.logo_url,
            _written(entry.document),
            auth,
            entry.require_approval,
        )

    def entry(self, place: str) -> ToolEntry:
        return ToolEntry(
            self.name,
            self.built_in,
            self.display_name,
            self.description,
            self.logo_url,
            _read(place, self.openapi_schema),
            None if self.auth_type is None else AuthType(self.auth_type),
            self.require_approval,
        )


class ServerPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An MCP server. Of `headers` there are the names; in `url` three stars stand for a part that was left out."""

    name: str
    type: Literal["streamable_http", "sse", "stdio"]
    url: str = ""
    description: str = ""
    headers: list[str] = []
    require_approval: bool = False

    @classmethod
    def of(cls, entry: ServerEntry) -> "ServerPart":
        kind: Any = entry.transport.value
        return cls(entry.name, kind, entry.url, entry.description, [*entry.headers], entry.require_approval)

    def entry(self) -> ServerEntry:
        headers = tuple(self.headers)
        return ServerEntry(
            self.name, McpTransport(self.type), self.url, self.description, headers, self.require_approval
        )


class KnowledgePart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    description: str = ""


class AgentDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """An agent with what it uses, by names. It carries no ids and no secrets; other fields are refused."""

    format: Literal["agentchat.agent"]
    format_version: Literal[1]
    agent: AgentPart
    tools: list[ToolPart] = []
    mcp_servers: list[ServerPart] = []
    knowledge: list[KnowledgePart] = []

    @classmethod
    def of(cls, file: AgentFile) -> "AgentDocument":
        return cls(
            format=FORMAT,
            format_version=1,
            agent=AgentPart(
                file.name,
                file.description,
                file.logo_url,
                file.system_prompt,
                file.model,
                file.enable_memory,
                file.own_model or UNSET,
            ),
            tools=[ToolPart.of(one) for one in file.tools],
            mcp_servers=[ServerPart.of(one) for one in file.mcp_servers],
            knowledge=[KnowledgePart(one.name, one.description) for one in file.knowledge],
        )

    def file(self) -> AgentFile:
        """Raises InvalidValue."""
        said = self.agent
        for field in ("tools", "mcp_servers", "knowledge"):
            refuse_too_many(field, len(getattr(self, field)))
        return AgentFile(
            said.name,
            said.description,
            said.logo_url,
            said.system_prompt,
            said.model,
            said.enable_memory,
            tuple(one.entry(f"tools[{number}].openapi_schema") for number, one in enumerate(self.tools)),
            tuple(one.entry() for one in self.mcp_servers),
            tuple(KnowledgeEntry(one.name, one.description) for one in self.knowledge),
            said.own_model is True,
        )


class PartView(Struct):
    """`kind` is tool, mcp_server, knowledge or model."""

    kind: str
    id: str
    name: str

    @classmethod
    def of(cls, part: Part) -> "PartView":
        return cls(part.kind, part.identifier, part.name)


class NeedView(Struct):
    """What must be sent before this part can be used."""

    kind: str
    id: str
    name: str
    needs: str

    @classmethod
    def of(cls, need: Need) -> "NeedView":
        return cls(need.part.kind, need.part.identifier, need.part.name, need.what)


class ImportedView(Struct):
    """The new agent, what was made for it and what serves again, what it lacks, and which secrets are to be set."""

    agent: AgentView
    created: list[PartView]
    reused: list[PartView]
    missing: list[MissingView]
    needs: list[NeedView]

    @classmethod
    def of(cls, done: ImportedAgent) -> "ImportedView":
        return cls(
            AgentView.of(done.agent),
            [PartView.of(one) for one in done.created],
            [PartView.of(one) for one in done.reused],
            [MissingView.of(one) for one in done.missing],
            [NeedView.of(one) for one in done.needs],
        )


@get(
    "/agent/{agent_id:str}/export",
    summary="An agent as a document: the same agent gives the same bytes",
    tags=TAGS,
    responses={200: ResponseSpec(AgentDocument, generate_examples=False, description="The document, in no envelope.")},
)
@inject
async def export_agent(
    agent_id: FromPath[str], caller: FromDishka[Caller], export: FromDishka[ExportAgent]
) -> Response[bytes]:
    file = await export(caller.user_id, AgentId(from_path("agent", agent_id)))
    content = await asyncio.to_thread(written, file)
    named = Attachment(FileId(""), f"{file.name}.agent.json", FileKind.JSON, len(content))
    return Response(content, media_type="application/json", headers={"Content-Disposition": disposition(named)})


@post(
    "/agent/import",
    status_code=200,
    summary="Make an agent from a document, whole or not at all",
    tags=TAGS,
    request_max_body_size=MOST_BYTES,
)
@inject
async def import_agent(
    data: JSONBody[AgentDocument],
    caller: FromDishka[Caller],
    take: FromDishka[ImportAgent],
    name: FromQuery[str | None] = None,
) -> Envelope[ImportedView]:
    """`name` is for an agent whose name in the document is taken."""
    file = await asyncio.to_thread(data.file)
    return ok(ImportedView.of(await take(caller.user_id, file, name)))


def written(file: AgentFile) -> bytes:
    content = _encode(AgentDocument.of(file))
    return msgspec.json.format(content, indent=2) + b"\n" if len(content) <= SMALL else content


def _written(document: ApiDocument | None) -> Raw | UnsetType:
    if document is None:
        return UNSET
    # What came as an object is JSON already.
    return Raw(document.text.encode() if document.is_object else _encode(document.text))


def _read(place: str, schema: Raw | UnsetType) -> ApiDocument | None:
    """As POST /tool/create reads it: an object is written anew, so that nothing but what it says counts."""
    if schema is UNSET:
        return None
    if len(bytes(schema)) > BYTES_OF_A_CHARACTER * DOCUMENT_MAX:
        raise InvalidValue(place, f"must have at most {DOCUMENT_MAX:,} characters")
    try:
        said = msgspec.json.decode(schema)
        text = said if isinstance(said, str) else _encode(said).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidValue(place, "can't be read: too large a number, nested too deeply, or no UTF-8") from error
    if said is not None and not isinstance(said, dict | str):
        raise InvalidValue(place, "must be an object, or text")
    return None if said is None else ApiDocument(text, is_object=isinstance(said, dict))


agent_file_handlers: list[HTTPRouteHandler] = [export_agent, import_agent]
