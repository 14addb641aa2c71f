"""Who gets in: every v1 route, every kind of bad token."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from adapters.security import JwtIssuer
from domain.errors import Unauthenticated
from domain.ids import FamilyId, UserId
from entrypoints.http.auth import bearer_of
from entrypoints.http.error_shapes import is_compatible
from http_answers import Client, Headers, Register, code_of, data_of

V1 = "/api/v1"
PUBLIC = {
    ("POST", "/api/v1/user/register"),
    ("POST", "/api/v1/user/login"),
    ("POST", "/api/v1/user/refresh"),
    ("GET", "/api/v1/user/icons/{name}"),
    ("GET", "/api/v1/files/{file_id}/{name}"),
}


def routes_of(app: Litestar) -> set[tuple[str, str]]:
    return {
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith(V1)
        for method in route.methods
        if method not in {"OPTIONS", "HEAD"}
    }


def refused(response: Any) -> str:
    code = code_of(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    return code


def token_of(headers: Headers) -> str:
    return headers["authorization"].removeprefix("Bearer ")


def test_every_route_but_the_public_ones_wants_a_token_before_it_reads_the_body(client: Client, app: Litestar) -> None:
    routes = routes_of(app)
    assert routes >= PUBLIC
    for method, path in routes - PUBLIC:
        for body in (b"", b"not json", b"[" * 10_000):
            answer = client.request(method, path.replace("{", "").replace("}", ""), content=body)
            missing = is_compatible(path) and answer.json()["error"]["code"] == "invalid_api_key"
            assert missing or refused(answer) == "token_missing", (method, path)
            assert answer.status_code == 401


def test_the_public_routes_want_none(client: Client, app: Litestar) -> None:
    for method, path in PUBLIC:
        assert client.request(method, path, headers={"authorization": "nonsense"}).status_code not in {401, 500}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dGVzdDp0ZXN0",
        "Bearer a b",
        "token",
        "Bearer a,b",
        "Bearer " + "x" * 5000,
        "Bearer ak_",
        "Bearer ak_unknown",
        "Bearer null",
        "Bearer a.b.c",
    ],
)
def test_headers_that_are_no_bearer_token_are_refused(client: Client, value: str) -> None:
    assert refused(client.get(f"{V1}/user/info", headers={"authorization": value})) in {
        "token_invalid",
        "api_key_invalid",
    }


def test_the_scheme_is_taken_in_any_case_and_with_spaces(client: Client, register: Register) -> None:
    token = token_of(register("ann"))
    for value in (f"bearer {token}", f"BEARER {token}", f"Bearer   {token}", f"Bearer {token} "):
        data_of(client.get(f"{V1}/user/info", headers={"authorization": value}))


def test_two_authorization_headers_are_refused(client: Client, register: Register) -> None:
    value = register("ann")["authorization"]
    twice = httpx.Headers([("authorization", value), ("authorization", value)])
    assert refused(client.get(f"{V1}/user/info", headers=twice)) == "token_invalid"


def test_bytes_outside_ascii_are_refused() -> None:
    for value in (b"Bearer \xff\xfe", "Bearer é".encode(), b"Bearer a\x00b", b"Bearer \x7f"):
        with pytest.raises(Unauthenticated):
            bearer_of([(b"authorization", value)])


def issued(secret: str, age: timedelta = timedelta()) -> str:
    return JwtIssuer([secret]).issue(UserId("ann"), FamilyId("f"), datetime.now(UTC) - age)[0]


def test_tokens_that_are_expired_foreign_or_unsigned_are_refused(client: Client, register: Register) -> None:
    register("ann")
    ours = "a-secret-of-the-tests-that-is-long-enough-0123456789"
    good = issued(ours)
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none", header | {"alg": "none"})  # type: ignore[arg-type]
    tokens = {
        issued(ours, age=timedelta(hours=1)): "token_expired",
        issued("another-secret-that-is-long-enough-0123456789"): "token_invalid",
        unsigned: "token_invalid",
        good[:-2]: "token_invalid",
        good: "account_gone",
    }
    for token, code in tokens.items():
        assert refused(client.get(f"{V1}/user/info", headers={"authorization": f"Bearer {token}"})) == code


def test_a_refresh_token_is_no_access_token(client: Client, register: Register) -> None:
    name = data_of(client.get(f"{V1}/user/info", headers=register("ann")))["user_name"]
    tokens = data_of(client.post(f"{V1}/user/login", json={"user_name": name, "user_password": "test"}))
    answer = client.get(f"{V1}/user/info", headers={"authorization": f"Bearer {tokens['refresh_token']}"})
    assert refused(answer) == "token_invalid"
    answer = client.post(f"{V1}/user/refresh", json={"refresh_token": tokens["access_token"]})
    assert refused(answer) == "refresh_token_invalid"


def test_a_token_of_a_deleted_user_is_refused_everywhere(client: Client, register: Register, app: Litestar) -> None:
    ann = register("ann")
    data_of(client.request("DELETE", f"{V1}/user/delete", json={"user_password": "test"}, headers=ann))
    for path in ("/user/info", "/api_key", "/agent", "/dialog/list", "/history?dialog_id=d"):
        assert refused(client.get(f"{V1}{path}", headers=ann)) == "account_gone", path


def test_an_unknown_route_is_404_and_a_wrong_method_405_without_a_token(client: Client) -> None:
    assert code_of(client.get(f"{V1}/nothing"), 404) == "route_not_found"
    assert code_of(client.patch(f"{V1}/user/info"), 405) == "method_not_allowed"


def test_an_access_token_costs_no_query_and_an_api_key_one(client: Client, register: Register, statements: Any) -> None:
    ann = register("ann")
    made = data_of(client.post(f"{V1}/api_key", json={"name": "k"}, headers=ann))
    key = {"authorization": f"Bearer {made['api_key']}"}
    counts = []
    for headers in (ann, key):
        client.get(f"{V1}/api_key", headers=headers)
        statements.clear()
        data_of(client.get(f"{V1}/api_key", headers=headers))
        counts.append(len(statements))
    assert counts == [1, 2]
