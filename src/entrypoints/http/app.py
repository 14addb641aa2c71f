"""The HTTP application: routes, and what surrounds them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from dishka import AsyncContainer
from dishka.integrations.litestar import setup_dishka
from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.types import ControllerRouterHandler

from entrypoints.http import errors
from entrypoints.http.auth import RequireCaller
from entrypoints.http.bodies import JsonRequest
from entrypoints.http.front import Drain, Front
from entrypoints.http.health import health, ready
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.http_statistics import HttpStatistics
from entrypoints.http.mcp.endpoint import mcp_router
from entrypoints.http.metrics import metrics, networks_of
from entrypoints.http.openai.endpoint import openai_handlers
from entrypoints.http.openapi import docs_router
from entrypoints.http.v1.agent_files import agent_file_handlers
from entrypoints.http.v1.agent_versions import agent_version_handlers
from entrypoints.http.v1.agents import agent_handlers
from entrypoints.http.v1.api_keys import api_key_handlers
from entrypoints.http.v1.approvals import approval_handlers
from entrypoints.http.v1.chat import chat_handlers
from entrypoints.http.v1.dialogs import dialog_handlers
from entrypoints.http.v1.files import file_handlers
from entrypoints.http.v1.history import history_handlers
from entrypoints.http.v1.knowledge import knowledge_handlers
from entrypoints.http.v1.knowledge_evaluation import knowledge_evaluation_handlers
from entrypoints.http.v1.knowledge_files import knowledge_file_handlers
from entrypoints.http.v1.mcp_servers import mcp_server_handlers
from entrypoints.http.v1.memory import memory_handlers
from entrypoints.http.v1.models import model_handlers
from entrypoints.http.v1.tools import tool_handlers
from entrypoints.http.v1.usage import usage_handlers
from entrypoints.http.v1.users import user_handlers

__all__ = ["Drain", "HttpConfig", "create_app"]

V1: Sequence[HTTPRouteHandler] = [
    *user_handlers,
    *api_key_handlers,
    *agent_handlers,
    *agent_version_handlers,
    *agent_file_handlers,
    *dialog_handlers,
    *history_handlers,
    *model_handlers,
    *chat_handlers,
    *approval_handlers,
    *openai_handlers,
    *file_handlers,
    *knowledge_handlers,
    *knowledge_file_handlers,
    *knowledge_evaluation_handlers,
    *tool_handlers,
    *mcp_server_handlers,
    *usage_handlers,
    *memory_handlers,
]

STAINLESS = (
    *("Arch", "Async", "Custom-Poll-Interval", "Helper-Method", "Lang", "OS", "Package-Version", "Poll-Helper"),
    *("Read-Timeout", "Retry-Count", "Runtime", "Runtime-Version", "Timeout"),
)
"""What OpenAI's own libraries say of themselves, also from a page."""

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(
    container: AsyncContainer,
    config: HttpConfig,
    drain: Drain | None = None,
    lifespan: Sequence[Lifespan] = (),
    statistics: HttpStatistics | None = None,
) -> Litestar:
    """The application over the container's use cases. Set `drain.active` to refuse new requests while answers run."""
    drain = drain or Drain()
    v1 = Router("/api/v1", route_handlers=V1, middleware=[RequireCaller])
    described: list[ControllerRouterHandler] = [v1, mcp_router(config), health, ready]
    if config.metrics_networks:
        described.append(metrics)
    app = Litestar(
        route_handlers=[*described, docs_router(described, config.version)],
        request_class=JsonRequest,
        request_max_body_size=config.max_body_bytes,
        exception_handlers={Exception: errors.answer},
        cors_config=_cors(config.cors_origins),
        openapi_config=None,
        logging_config=None,
        lifespan=list(lifespan),
        state=_state(config, drain),
    )
    setup_dishka(container, app)
    app.asgi_handler = Front(app.asgi_handler, drain, statistics or HttpStatistics())
    return app


def _state(config: HttpConfig, drain: Drain) -> State:
    return State(
        {
            "drain": drain,
            "max_body_bytes": config.max_body_bytes,
            "version": config.version,
            "metrics_networks": networks_of(config.metrics_networks),
        }
    )


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_headers=[
            *("Authorization", "Content-Type", "X-Request-ID", "Last-Event-ID", "Idempotency-Key"),
            *("MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name"),
            *("X-Dialog-ID", "OpenAI-Organization", "OpenAI-Project"),
            *(f"X-Stainless-{name}" for name in STAINLESS),
        ],
        expose_headers=["X-Request-ID", "X-Run-ID", "X-Dialog-ID", "X-File-ID", "Retry-After", "Mcp-Session-Id"],
    )
