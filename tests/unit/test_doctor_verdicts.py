"""What the doctor makes of answers, limits, clocks and disks: each with the advice that belongs to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.doctor import address, bodies, clock, database, disk, notifications, server, storage
from entrypoints.doctor.account import agent_refused, login_refused
from entrypoints.doctor.findings import Finding, Status
from entrypoints.doctor.remote import Answer, envelope_of, reason
from entrypoints.settings.loading import Settings, load_settings
from entrypoints.settings.sources import SettingsError

OURS = b'{"status_code":404,"status_message":"There is nothing at this address.","data":null}'


def settings(**environ: str) -> Settings:
    return load_settings({f"AGENTCHAT_{name}": value for name, value in environ.items()}, Path("/nowhere"))


def answer(status: int, data: object = None, code: str = "") -> Answer:
    return Answer(status, {"status_code": status, "status_message": "", "data": data, "error": {"code": code}}, 0.002)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (bodies.Reply(100, ours=False), Status.OK),
        (bodies.Reply(404, ours=True), Status.OK),
        (bodies.Reply(401, ours=True), Status.OK),
        (bodies.Reply(413, ours=True), Status.OK),
        (bodies.Reply(bodies.SILENT, ours=False), Status.OK),
        (bodies.Reply(413, ours=False), Status.FAIL),
        (bodies.Reply(417, ours=False), Status.SKIP),
        (bodies.Reply(400, ours=False), Status.WARN),
        (None, Status.WARN),
    ],
)
def test_only_a_strangers_413_says_that_a_proxy_takes_less(reply: bodies.Reply | None, status: Status) -> None:
    verdict = bodies.upload_verdict(reply, 50 << 20)
    assert verdict.status is status
    if status is Status.FAIL:
        assert "client_max_body_size 51m" in verdict.mend


@given(st.integers(1, 1 << 40))
def test_the_limit_that_is_advised_is_large_enough(size: int) -> None:
    megabytes = int(bodies.larger(size).partition("client_max_body_size ")[2].partition("m")[0])
    assert size < megabytes << 20 <= size + (2 << 20)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (bodies.Reply(422, ours=True), Status.OK),
        (bodies.Reply(413, ours=False), Status.FAIL),
        (bodies.Reply(502, ours=False), Status.FAIL),
        (None, Status.FAIL),
    ],
)
def test_a_long_question_gets_the_servers_answer(reply: bodies.Reply | None, status: Status) -> None:
    assert bodies.input_verdict(reply, 100_000).status is status


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"status_code":404}', b"\xff", b"413"])
def test_what_is_not_our_envelope_is_told_apart(body: bytes) -> None:
    assert envelope_of(body) is None
    assert envelope_of(OURS) is not None


def test_a_server_of_another_version_is_to_be_restarted() -> None:
    alive = answer(200, {"status": "alive", "version": "0.0.9"})
    [found] = server.alive_verdict("http://x", alive, "0.1.0")
    assert (found.status, "restart" in found.mend) == (Status.WARN, True)
    [found] = server.alive_verdict("http://x", alive, "0.0.9")
    assert found.status is Status.OK


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        (Answer(502, None, 0.1), "proxy_pass"),
        (Answer(404, None, 0.1), "--url"),
        (Answer(200, None, 0.1), "--url"),
        (answer(200, {"status": "fine"}), "--url"),
    ],
)
def test_who_is_not_our_server_is_said_to_be_none(strange: Answer, words: str) -> None:
    [found] = server.alive_verdict("http://x", strange, "0.1.0")
    assert (found.status, words in found.mend) == (Status.FAIL, True)


def test_readiness_names_each_parts_latency_and_what_is_down() -> None:
    up = {"name": "database", "status": "up", "latency_ms": 1.5}
    [found] = server.ready_verdict(answer(200, {"status": "ready", "parts": [up]}))
    assert (found.status, found.message) == (Status.OK, "database 1.5 ms")
    down = {"name": "storage", "status": "down", "latency_ms": 9, "problem": "no such bucket"}
    [found] = server.ready_verdict(answer(503, {"status": "unavailable", "parts": [up, down]}))
    assert found.status is Status.FAIL
    assert "storage: no such bucket" in found.message
    assert "database" not in found.message
    idle = {"name": "jobs", "status": "degraded", "latency_ms": 2, "problem": "4 jobs wait, and no worker lives"}
    well, told = server.ready_verdict(answer(200, {"status": "ready", "parts": [up, idle]}))
    assert (well.status, told.status) == (Status.OK, Status.WARN)
    assert "no worker lives" in told.message


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ("0002", Status.OK, "0002"),
        ("0001", Status.FAIL, "agentchat migrate"),
        (None, Status.FAIL, "agentchat migrate"),
        ("0003", Status.FAIL, "newer"),
    ],
)
def test_a_schema_is_this_programs_or_not(found: str | None, status: Status, words: str) -> None:
    verdict = database.schema_verdict(found, "0002")
    assert verdict.status is status
    assert words in verdict.message + verdict.mend


@pytest.mark.parametrize(
    ("workers", "pool", "others", "status"),
    [(4, 10, 0, Status.OK), (4, 10, 60, Status.WARN), (9, 10, 0, Status.FAIL), (9, 9, 0, Status.OK)],
)
def test_each_process_needs_a_connection_more_than_its_pool(
    workers: int, pool: int, others: int, status: Status
) -> None:
    verdict = database.connections_verdict(workers, pool, 97, others)
    assert verdict.status is status
    assert f"{workers} x ({pool} + 1) = {workers * (pool + 1)}" in verdict.message


def test_a_pooler_that_loses_notifications_is_named() -> None:
    verdict = notifications.verdict(None)
    assert verdict.status is Status.WARN
    assert "pool_mode = session" in verdict.mend
    assert notifications.verdict(0.001).status is Status.OK


@given(st.floats(-1.9, 1.9), st.floats(0, 60))
def test_clocks_within_two_seconds_agree_however_slow_the_network(offset: float, trip: float) -> None:
    assert clock.verdict(offset + trip / 2, trip).status is Status.OK


@given(st.floats(2.1, 1e6), st.floats(0, 0.1), st.sampled_from([1, -1]))
def test_clocks_further_apart_do_not(offset: float, trip: float, sign: int) -> None:
    verdict = clock.verdict(sign * (offset + trip) + trip / 2, trip)
    assert verdict.status is Status.WARN
    assert ("ahead" if sign > 0 else "behind") in verdict.message


def test_little_room_is_told() -> None:
    assert disk.room_verdict("disk", Path("data"), disk.LITTLE_BYTES).status is Status.OK
    assert disk.room_verdict("disk", Path("data"), disk.LITTLE_BYTES - 1).status is Status.WARN


MOUNTS = """overlay / overlay rw 0 0
box:/srv /srv nfs4 rw 0 0
/dev/sda1 /srv/local ext4 rw 0 0
box:/x /with\\040space cifs rw 0 0
tmpfs /again tmpfs rw 0 0
box:/y /again nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/a.db", None),
        ("/srv/a.db", "nfs4"),
        ("/srvother/a.db", None),
        ("/srv/local/a.db", None),
        ("/with space/a.db", "cifs"),
        ("/again/a.db", "nfs"),
    ],
)
def test_the_innermost_mount_says_whether_a_file_is_elsewhere(path: str, kind: str | None) -> None:
    assert disk.kind_in(MOUNTS, Path(path)) == kind


def test_a_file_is_kept_and_leaves_nothing(tmp_path: Path) -> None:
    assert [finding.status for finding in storage.tried(tmp_path)] == [Status.OK]
    assert list(tmp_path.iterdir()) == []
    [found] = storage.tried(tmp_path / "not" / "yet")
    assert (found.status, list(tmp_path.iterdir())) == (Status.OK, [])


def test_a_folder_that_is_a_file_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    [found] = storage.tried(tmp_path / "data")
    assert (found.status, "data_dir" in found.mend) == (Status.FAIL, True)


@pytest.mark.parametrize(
    ("given", "url", "known"),
    [
        ({}, "http://127.0.0.1:8000", True),
        ({}, "http://localhost:8000", True),
        ({"HOST": "0.0.0.0"}, "http://192.0.2.7:8000", True),
        ({}, "http://127.0.0.1:8080", False),
        ({}, "https://chat.example.org", False),
        ({}, "http://192.0.2.7:8000", False),
        ({"TRUSTED_PROXIES": '["127.0.0.1"]'}, "https://chat.example.org", True),
        ({"PORT": "80", "HOST": "0.0.0.0"}, "http://chat.example.org", True),
    ],
)
def test_a_proxy_is_to_be_trusted_by_name(given: Mapping[str, str], url: str, known: bool) -> None:
    found = address.proxy_known(settings(**given), url)
    assert (not found) is known
    assert all("X-Forwarded-For" in one.mend for one in found)


def test_a_certificate_that_ends_soon_is_told() -> None:
    assert address.lasting(5.0).status is Status.WARN
    assert address.lasting(60.0).status is Status.OK
    assert address.lasting(None).status is Status.OK


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(401, code="login_failed"), "another database"),
        (answer(429, code="too_many_logins"), "too many failed logins"),
        (answer(500, code="internal_error"), "internal_error"),
        (Answer(200, None, 0.1), "fails"),
    ],
)
def test_a_login_that_fails_says_why(given: Answer, words: str) -> None:
    refused = login_refused(given)
    assert isinstance(refused, Finding)
    assert words in refused.message
    assert login_refused(answer(200, {"access_token": "t"})) is None


def test_an_access_token_that_is_lost_on_the_way_is_told_from_a_model_that_is_missing() -> None:
    assert "Authorization" in agent_refused(answer(401)).mend
    assert "restart" in agent_refused(answer(404, code="model_not_found")).mend


def test_why_a_connection_failed_is_said_without_its_address() -> None:
    key: Any = None
    refused = aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "Connect call failed ('192.0.2.7', 1)"))
    assert reason(refused) == "connection refused"
    assert reason(TimeoutError()) == "no answer in time"


def test_an_address_that_is_none_is_a_mistake_of_the_call(tmp_path: Path) -> None:
    from entrypoints.doctor.command import address_of, diagnose

    with pytest.raises(SettingsError, match="--url"):
        diagnose(settings(), "https://me:word@example.org", as_json=False)
    assert address_of(settings(HOST="0.0.0.0"), None) == "http://127.0.0.1:8000"
    assert address_of(settings(HOST="::1"), None) == "http://[::1]:8000"
    assert address_of(settings(PUBLIC_URL="https://chat.example.org"), None) == "https://chat.example.org"
    assert address_of(settings(PUBLIC_URL="https://chat.example.org"), "http://other") == "http://other"
