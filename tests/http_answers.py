"""Clients of the HTTP layer alone, and what every answer must look like."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from dishka import Provider, Scope, make_async_container
from dishka.integrations.litestar import LitestarProvider
from litestar import Litestar
from litestar.testing import TestClient

from application.accounts.sessions import Authenticate
from domain.ids import UserId
from entrypoints.http.app import HttpConfig, create_app
from entrypoints.http.auth import Caller, CallerProvider

Client = TestClient[Litestar]
Headers = dict[str, str]
Register = Callable[..., Headers]
Serving = Callable[..., AbstractContextManager[Client]]
"""A server with its client: the address of a database, a folder, providers to use instead, settings by their names."""


class BelievesAnyToken:
    """The token is the name of the user."""

    async def __call__(self, bearer: str) -> Caller:
        return Caller(UserId(bearer))


@contextmanager
def http_alone(*use_cases: object, config: HttpConfig | None = None) -> Iterator[Client]:
    """The HTTP layer over the given use cases; asking for another one is a 500."""
    provider = Provider(scope=Scope.APP)
    for one in use_cases:
        kind, made = one if isinstance(one, tuple) else (type(one), one)
        provider.provide(_giving(made), provides=kind)
    provider.provide(_giving(BelievesAnyToken()), provides=Authenticate)
    container = make_async_container(provider, CallerProvider(), LitestarProvider(), skip_validation=True)
    app = create_app(container, config or HttpConfig(version="1.2.3"))
    with TestClient(app, raise_server_exceptions=False) as made:
        made.headers["authorization"] = "Bearer ann"
        yield made


def _giving(made: object) -> Callable[[], Any]:
    return lambda: made


def data_of(response: Any) -> Any:
    """The data of a success, whole envelope checked."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["status_code"], body["status_message"]) == (200, "SUCCESS")
    assert set(body) <= {"status_code", "status_message", "data", "next_cursor"}
    assert response.headers["x-request-id"]
    return body["data"]


def code_of(response: Any, status: int) -> str:
    """The code of a failure of this HTTP status, whole envelope checked."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body["status_code"] == (status if status in {401, 403, 404} else 500)
    assert body["data"] is None
    assert set(body["error"]) == {"code", "fields", "request_id"}
    assert body["error"]["request_id"] == response.headers["x-request-id"]
    assert body["status_message"]
    if status in {429, 503}:
        assert int(response.headers["retry-after"]) >= 1
    code: str = body["error"]["code"]
    return code
