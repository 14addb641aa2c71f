"""Whatever goes wrong, a client gets the envelope, and nothing of the inside."""

import json
import logging
from collections.abc import Iterator

import pytest

from application.agents.agents import ListAgents
from application.health import CheckHealth
from domain.errors import (
    Conflict,
    DomainError,
    Forbidden,
    InvalidValue,
    ModelError,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from entrypoints.http.access_log import AccessLine
from entrypoints.http.errors import DOMAIN_STATUS
from http_answers import Client, code_of, data_of, http_alone


class Fails:
    """A use case that always raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def __call__(self, *_: object) -> None:
        raise self.error


CASES = [
    (InvalidValue("name", "must be short"), 422),
    (TooLarge("user_input", "at most 100,000 characters"), 413),
    (NotFound("agent", "x"), 404),
    (Forbidden("agent_built_in", "A built-in agent can't be changed."), 403),
    (Conflict("agent_name_taken", "There is an agent of that name.", field="name"), 409),
    (Unauthenticated("account_gone", "The account was deleted."), 401),
    (TooManyRequests("too_many_logins", "Wait.", retry_after=2.1), 429),
    (TooManyRequests("too_many_logins", "Wait."), 429),
    (Unavailable("database_unavailable", "The database can't be reached."), 503),
    (ModelError("model_auth_failed", "The provider refused the key."), 502),
    (ModelError("model_not_configured", "Set OPENAI_API_KEY."), 503),
    (ModelError("model_rate_limited", "Wait.", retry_after=7), 503),
    (ModelError("model_timeout", "No answer."), 504),
    (ModelError("context_too_long", "Shorten."), 413),
    (ModelError("model_no_vision", "Take another model."), 422),
]


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda one: getattr(one, "code", None))
def test_each_refusal_of_the_domain_has_its_status(error: DomainError, status: int) -> None:
    with http_alone((ListAgents, Fails(error))) as client:
        response = client.get("/api/v1/agent")
    assert code_of(response, status) == error.code
    body = response.json()
    assert body["status_message"] == error.message
    assert body["error"]["fields"] == [{"name": one.name, "message": one.message} for one in error.fields]
    if error.retry_after is not None:
        assert error.retry_after <= int(response.headers["retry-after"]) < error.retry_after + 1
    assert (response.headers.get("www-authenticate") == "Bearer") is (status == 401)


def test_every_kind_of_refusal_is_in_the_table() -> None:
    assert set(DomainError.__subclasses__()) == set(DOMAIN_STATUS)


def test_our_own_mistakes_are_logged_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    secret = "SELECT password_hash FROM users; /srv/agentchat/x.py"
    with http_alone((ListAgents, Fails(RuntimeError(secret)))) as client, caplog.at_level(logging.ERROR):
        response = client.get("/api/v1/agent", headers={"x-request-id": "look-for-me"})
    assert code_of(response, 500) == "internal_error"
    for piece in ("SELECT", "/srv", "Traceback", "RuntimeError"):
        assert piece not in response.text
    (record,) = [one for one in caplog.records if one.name == "agentchat.http"]
    assert record.exc_info is not None
    assert secret in str(record.exc_info[1])
    assert record.__dict__["request_id"] == "look-for-me"


@pytest.fixture(scope="module")
def http() -> Iterator[Client]:
    with http_alone(CheckHealth(()), (ListAgents, Fails(RuntimeError("not to be reached")))) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/nope", "/api/v1", "/api/v2/agent", "/api/v1/agent/a/b", "/docs/../x", "/%ff"])
def test_an_unknown_address_is_an_envelope(http: Client, method: str, path: str) -> None:
    assert code_of(http.request(method, path), 404) == "route_not_found"


def test_an_unknown_address_needs_no_token(http: Client) -> None:
    assert http.get("/api/v1/nope", headers={"authorization": ""}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/v1/agent", {"GET", "POST", "PUT", "DELETE", "OPTIONS"}),
        ("DELETE", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/docs", {"GET", "OPTIONS"}),
        ("BREW", "/api/v1/agent", {"GET", "POST", "PUT", "DELETE", "OPTIONS"}),
    ],
)
def test_a_wrong_method_says_which_are_right(http: Client, method: str, path: str, allowed: set[str]) -> None:
    response = http.request(method, path)
    assert code_of(response, 405) == "method_not_allowed"
    assert set(response.headers["allow"].replace(" ", "").split(",")) == allowed


@pytest.mark.parametrize("path", ["/api/v1/agent", "/health", "/api/v1/dialog/%2F"])
def test_options_lists_all_methods_of_an_address(http: Client, path: str) -> None:
    refused = http.request("BREW", path)
    assert http.options(path).headers["allow"].split(", ") == sorted(refused.headers["allow"].split(", "))


def test_a_head_request_that_is_refused_has_no_litestar_in_it(http: Client) -> None:
    response = http.head("/api/v1/agent")
    assert (response.status_code, response.headers["content-type"]) == (405, "application/json")


def test_a_bad_host_header_is_an_envelope(http: Client) -> None:
    assert code_of(http.get("/health", headers={"host": "a b/c"}), 400) == "bad_request"


@pytest.mark.parametrize(
    "query", ["limit=abc", "limit=0", "limit=201", "limit=1.5", "limit=", "limit=99999999999999999999"]
)
def test_a_bad_limit_is_named(http: Client, query: str) -> None:
    response = http.get(f"/api/v1/agent?{query}")
    assert code_of(response, 422) == "invalid_value"
    assert [one["name"] for one in response.json()["error"]["fields"]] == ["limit"]
    for word in ("int", "str", "Validation failed", "/api"):
        assert word not in response.json()["status_message"].replace("integer", "").replace("string", "")


def test_a_missing_parameter_is_named(http: Client) -> None:
    response = http.get("/api/v1/history")
    assert code_of(response, 422) == "invalid_value"
    assert response.json()["error"]["fields"] == [{"name": "dialog_id", "message": "is required as a query parameter"}]


@pytest.mark.parametrize("sent", ["abc", "A-1_2.3", "x" * 128])
def test_a_well_formed_request_id_is_taken(http: Client, sent: str) -> None:
    assert http.get("/nope", headers={"x-request-id": sent}).json()["error"]["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a;b", "é".encode().decode("latin-1"), "<script>"])
def test_any_other_request_id_is_replaced(http: Client, sent: str) -> None:
    given = http.get("/health", headers={"x-request-id": sent.encode("latin-1")}).headers["x-request-id"]
    assert given != sent
    assert given.isalnum()


def test_each_request_has_an_id_of_its_own(http: Client) -> None:
    ids = {http.get("/health").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


def test_the_access_log_tells_no_query_and_no_id(http: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="agentchat.access"):
        http.get("/api/v1/history?limit=x&dialog_id=secret-1")
        http.get("/api/v1/agent/secret-2")
        http.get("/nope/secret-3")
    first, second, third = [one for one in caplog.records if one.name == "agentchat.access"]
    assert (first.__dict__["method"], first.__dict__["path"], first.__dict__["status"]) == (
        "GET",
        "/api/v1/history",
        422,
    )
    assert second.__dict__["path"] == "/api/v1/agent/{agent_id}"
    assert second.__dict__["user_id"] == "ann"
    assert (third.__dict__["path"], third.__dict__["status"]) == ("-", 404)
    assert "secret" not in "".join(str(one.__dict__) for one in (first, second, third))


def test_a_stopping_server_takes_nothing_new_and_still_lives() -> None:
    with http_alone(CheckHealth(())) as client:
        assert data_of(client.get("/health/ready"))["status"] == "ready"
        client.app.state.drain.active = True
        refused = client.get("/api/v1/agent")
        assert code_of(refused, 503) == "shutting_down"
        assert refused.headers["connection"] == "close"
        assert data_of(client.get("/health"))["status"] == "alive"
        assert client.get("/health/ready").status_code == 503


def test_the_access_line_is_json_with_the_keys_of_every_line() -> None:
    record = logging.makeLogRecord(
        {"msg": "request", "created": 1_790_000_000.5, "method": "GET", "path": "/x", "status": 200, "user_id": None}
    )
    assert json.loads(AccessLine().format(record)) == {
        "time": "2026-09-21T14:13:20.500000Z",
        "level": "info",
        "event": "request",
        "logger": "agentchat.access",
        "method": "GET",
        "path": "/x",
        "status": 200,
        "duration_ms": None,
        "request_id": None,
        "user_id": None,
    }
