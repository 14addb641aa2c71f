"""`/metrics` of the whole application, on both databases: what known traffic leaves there, and who may look."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.types import ASGIApp

from application.ports.job_queue import JobKind
from entrypoints.http.app import HttpConfig
from entrypoints.http.http_statistics import METHODS
from entrypoints.settings.loading import load_settings
from exposed import Exposed, exposed
from http_answers import Client, Headers, Register, Serving, code_of, data_of, http_alone

CHAT = "/api/v1/chat"
UPLOAD = "/api/v1/upload"


@dataclass
class Peer:
    """Where requests come from."""

    app: ASGIApp
    host: str = "127.0.0.1"
    port: int = 50000

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["client"] = self.host, self.port
        await self.app(scope, receive, send)


@contextmanager
def seen_as_peer(client: Client) -> Iterator[Peer]:
    inner = client.app.asgi_handler
    client.app.asgi_handler = made = Peer(inner)
    yield made
    client.app.asgi_handler = inner


@pytest.fixture
def peer(client: Client) -> Iterator[Peer]:
    with seen_as_peer(client) as made:
        yield made


@pytest.fixture
def local(peer: Peer, client: Client) -> Client:
    return client


@pytest.fixture
def person(register: Register, peer: Peer) -> Headers:
    return register()


def joined(client: Client) -> Headers:
    account = {"user_name": "ann", "user_password": "test"}
    data_of(client.post("/api/v1/user/register", json=account))
    return {"authorization": f"Bearer {data_of(client.post('/api/v1/user/login', json=account))['access_token']}"}


def shown(client: Client) -> Exposed:
    return exposed(client.get("/metrics"))


def requests(seen: Exposed, **labels: str) -> float:
    return seen.value("agentchat_http_requests_total", **labels)


def test_it_is_prometheus_text_that_names_everything_once(fresh: Client) -> None:
    with seen_as_peer(fresh):
        joined(fresh)
        seen, head = shown(fresh), fresh.head("/metrics")
    assert all(name.startswith(("agentchat_", "process_")) for name in seen.kinds)
    assert seen.labels("agentchat_build_info", "version") == {fresh.app.state.version}
    assert seen.labels("agentchat_runs_ended_total", "status") == {"complete", "stopped", "interrupted", "failed"}
    for name in ("runs_live", "uploads_under_way", "parser_children", "database_connections_in_use"):
        assert seen.kinds[f"agentchat_{name}"] == "gauge"
        assert seen.value(f"agentchat_{name}") == 0
    assert seen.value("agentchat_database_connections_max") in {2, 10}
    assert seen.labels("agentchat_jobs_waiting", "kind") == {kind.value for kind in JobKind}
    assert seen.kinds["agentchat_jobs_oldest_seconds"] == seen.kinds["agentchat_jobs_workers"] == "gauge"
    assert seen.value("process_resident_memory_bytes") > 1_000_000
    assert (head.status_code, head.content) == (200, b"")


def test_an_answer_is_seen_in_runs_tokens_and_requests(local: Client, person: Headers) -> None:
    before = shown(local)
    answer = local.post(CHAT, json={"user_input": "count to 50", "dialog_id": "d"}, headers=person)
    assert answer.text.count("event: done") == 1
    refused = local.post(CHAT, json={"user_input": "", "dialog_id": "d"}, headers=person)
    assert refused.status_code == 422
    seen = shown(local)
    assert seen.grew_from(before)
    added = seen.added(before)
    assert added("agentchat_runs_ended_total", status="complete", code="") == 1
    assert added("agentchat_tokens_total", model="offline", direction="output") > 0
    assert added("agentchat_run_first_text_seconds_count", model="offline") == 1
    assert added("agentchat_http_requests_total", method="POST", route=CHAT, status="200") == 1
    assert added("agentchat_http_requests_total", method="POST", route=CHAT, status="422") == 1
    assert added("agentchat_http_response_begin_seconds_count", method="POST", route=CHAT) == 2


def test_uploads_count_by_what_became_of_them(local: Client, person: Headers) -> None:
    def upload(name: str, content: bytes) -> int:
        return local.post(UPLOAD, files={"file": (name, content)}, headers=person).status_code

    before = shown(local)
    assert upload("notes.txt", b"some words") == 200
    assert upload("program.exe", b"MZ\x00\x01\x02") == 415
    assert upload("empty.txt", b"") == 422
    cut = local.post(
        UPLOAD, content=b"--edge\r\n", headers={**person, "content-type": "multipart/form-data; boundary=edge"}
    )
    assert cut.status_code == 400
    seen = shown(local)
    added = seen.added(before)
    assert added("agentchat_uploads_total", outcome="taken") == 1
    assert added("agentchat_upload_bytes_total") == len(b"some words")
    assert added("agentchat_uploads_total") == 4
    assert seen.value("agentchat_uploads_under_way") == 0
    assert all(one.replace("_", "").isalpha() for one in seen.labels("agentchat_uploads_total", "outcome"))


def test_a_document_is_parsed_by_a_child_and_counts(local: Client, person: Headers) -> None:
    before = shown(local)
    url = local.post(UPLOAD, files={"file": ("notes.md", b"# The moon\n\nIt is round.")}, headers=person).json()["data"]
    body = {"user_input": "What is it?", "dialog_id": "d", "file_url": url}
    assert local.post(CHAT, json=body, headers=person).status_code == 200
    seen = shown(local)
    assert seen.added(before)("agentchat_documents_total", kind="md", outcome="read", known="no") == 1
    assert seen.value("agentchat_parser_children") == 1


def test_a_thousand_addresses_make_one_label(serving: Serving, sqlite_url: str, tmp_path: Path) -> None:
    with serving(sqlite_url, tmp_path) as client, seen_as_peer(client):
        person = joined(client)
        for number in range(500):
            assert client.get(f"/nothing/{number}").status_code == 404
            assert client.get(f"{CHAT}/RUN{number}", headers=person).status_code == 404
        seen = shown(client)
    assert requests(seen, route="unknown", status="404") == 500
    assert requests(seen, route=f"{CHAT}/{{run_id}}", status="404") == 500
    assert seen.labels("agentchat_http_requests_total", "route") == {
        "/api/v1/user/register",
        "/api/v1/user/login",
        f"{CHAT}/{{run_id}}",
        "unknown",
    }


@pytest.fixture(scope="module")
def anything() -> Iterator[Client]:
    with http_alone(config=HttpConfig(version="1.2.3")) as made:
        yield made


@settings(max_examples=60)
@given(st.lists(st.tuples(st.from_regex(r"[A-Z!#$-]{1,12}", fullmatch=True), st.text(max_size=12)), max_size=8))
def test_hostile_methods_and_paths_make_no_labels(anything: Client, asked: list[tuple[str, str]]) -> None:
    statistics = anything.app.asgi_handler.statistics
    before = sum(count for _, count in statistics.requests)
    for method, path in asked:
        anything.request(method, "/%2f" + path.encode().hex() + "/%00%0a")
    routes = {route.path_format for route in anything.app.routes} | {"unknown"}
    assert {labels[0] for labels, _ in statistics.requests} <= METHODS | {"other"}
    assert {labels[1] for labels, _ in statistics.requests} <= routes
    assert sum(count for _, count in statistics.requests) == before + len(asked)


@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::1", "testclient"])
def test_elsewhere_there_is_no_such_address(client: Client, peer: Peer, host: str) -> None:
    peer.host = host
    found, nothing = client.get("/metrics"), client.get("/no-such-thing")
    assert code_of(found, 404) == code_of(nothing, 404) == "route_not_found"
    assert found.json() | {"error": None} == nothing.json() | {"error": None}
    assert set(found.headers) == set(nothing.headers)
    assert client.head("/metrics").status_code == 404
    assert client.get("//metrics/").status_code == 404


def test_a_proxy_on_the_same_machine_shows_it_to_nobody(local: Client, peer: Peer) -> None:
    assert code_of(local.get("/metrics", headers={"x-forwarded-for": "203.0.113.5"}), 404) == "route_not_found"
    peer.port = 0
    assert local.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize(
    ("networks", "host", "status"),
    [('["10.0.0.0/8"]', "10.1.2.3", 200), ('["10.0.0.0/8"]', "127.0.0.1", 404), ("[]", "127.0.0.1", 404)],
)
def test_the_configuration_says_who_sees_it(tmp_path: Path, networks: str, host: str, status: int) -> None:
    variables = {"AGENTCHAT_DATA_DIR": str(tmp_path), "AGENTCHAT_METRICS_NETWORKS": networks}
    given = load_settings(variables, tmp_path)
    with http_alone(config=HttpConfig(metrics_networks=given.metrics_networks)) as client:
        client.app.asgi_handler = Peer(client.app.asgi_handler, host)
        # The HTTP layer alone has no numbers to show: whoever is let in finds that out.
        assert client.get("/metrics").status_code == (500 if status == 200 else 404)
        assert client.post("/metrics").status_code == (404 if networks == "[]" else 405)


def test_what_only_grows_never_goes_down_whatever_is_asked(local: Client, person: Headers) -> None:
    seen = shown(local)
    for number in range(20):
        local.request(("GET", "POST", "DELETE")[number % 3], ("/x", "/api/v1/agent", CHAT)[number % 3], headers=person)
        later = shown(local)
        assert later.grew_from(seen)
        assert requests(later) == requests(seen) + 2
        seen = later


def test_two_applications_in_one_process_count_apart(local: Client, person: Headers, another_server: Client) -> None:
    with seen_as_peer(another_server):
        assert requests(shown(local)) > 0
        assert requests(shown(another_server)) == 0
