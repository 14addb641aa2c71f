"""`agentchat doctor` against a real server, sound or not: what it finds, what it advises, and what it leaves behind."""

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.database.schema import migrate
from live.doctor_examined import HASTE, diagnosis, examined, serving, started
from live.live_server import SECRETS, LiveServer, free_port
from servers.byte_server import ByteServer, Exchange
from servers.meddling_proxy import MeddlingProxy
from servers.postgres import Postgres

KEY = "sk-secret-of-the-operator"
STREAMS = {"stream", "stop", "resume", "heartbeat"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def names(data_dir: Path) -> list[str]:
    with sqlite3.connect(data_dir / "agentchat.db") as database:
        return [name for (name,) in database.execute("SELECT name FROM users")]


def test_a_sound_set_up_has_nothing_to_mend_and_keeps_no_account(data_dir: Path) -> None:
    async def scene() -> None:
        async with serving(data_dir) as server:
            process = await started(server, "--json")
            out, complaints = await process.communicate()
        done = diagnosis(process.returncode or 0, out.decode(), complaints.decode())
        assert (done.code, done.with_status("fail"), done.with_status("skip")) == (0, set(), set())
        assert done.with_status("ok") >= STREAMS | {
            "database",
            "schema",
            "storage",
            "server",
            "body limit",
            "login",
            "upload",
        }
        assert all(bool(finding["mend"]) == (finding["status"] == "warn") for finding in done.findings)
        assert names(data_dir) == []

    asyncio.run(scene())


def test_a_sound_set_up_on_postgres(tmp_path: Path, postgres: Postgres, postgres_url: str) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "data", DATABASE_URL=postgres_url, SECRET_KEYS=SECRETS) as server:
            done = await examined(server)
        assert (done.code, done.with_status("fail"), done.with_status("skip")) == (0, set(), set())
        checked = {"database", "schema", "connections", "notifications", "clock"}
        assert done.with_status("ok") >= STREAMS | checked
        assert "1 x (10 + 1) = 11" in done.named("connections")["message"]
        assert postgres.execute("SELECT count(*) FROM users", postgres_url.rpartition("/")[2]) == "0"
        assert json.loads(SECRETS)[0] not in done.output

    asyncio.run(scene())


def test_without_a_server_it_says_how_to_start_one(data_dir: Path) -> None:
    async def scene() -> None:
        done = await examined(LiveServer(data_dir))
        assert done.code == 1
        assert done.with_status("fail") == {"database", "server"}
        assert "agentchat serve" in done.named("server")["mend"]
        assert done.named("stream")["status"] == "skip"
        assert not data_dir.exists()

    asyncio.run(scene())


def test_an_outdated_schema_names_the_command(data_dir: Path) -> None:
    async def scene() -> None:
        data_dir.mkdir()
        (data_dir / "agentchat.db").touch()
        done = await examined(LiveServer(data_dir))
        assert done.named("database")["status"] == "ok"
        assert (done.named("schema")["status"], done.named("schema")["mend"]) == ("fail", "run `agentchat migrate`")
        assert done.named("login")["message"] == "needs schema and server"

    asyncio.run(scene())


def test_an_outdated_schema_on_postgres_names_the_command(tmp_path: Path, postgres: Postgres) -> None:
    async def scene() -> None:
        settings = {"DATABASE_URL": postgres.url("postgres"), "SECRET_KEYS": SECRETS}
        done = await examined(LiveServer(tmp_path / "data", settings))
        assert (done.named("schema")["status"], done.named("schema")["mend"]) == ("fail", "run `agentchat migrate`")

    asyncio.run(scene())


def test_a_postgres_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    async def scene() -> None:
        address = f"postgresql://ada:horse+battery@127.0.0.1:{free_port()}/chat"
        done = await examined(LiveServer(tmp_path / "data", {"DATABASE_URL": address, "SECRET_KEYS": SECRETS}))
        found = done.named("database")
        assert (found["status"], found["mend"]) == ("fail", "start Postgres, or correct database_url")
        assert "127.0.0.1" in found["message"]
        assert "refused" in found["message"]
        assert "horse" not in done.output
        assert done.with_status("skip") >= {"schema", "connections", "notifications", "clock", "login"}

    asyncio.run(scene())


def test_more_connections_than_postgres_allows_fail(tmp_path: Path, postgres_url: str) -> None:
    async def scene() -> None:
        settings = {"DATABASE_URL": postgres_url, "SECRET_KEYS": SECRETS, "POOL_SIZE": 900}
        found = (await examined(LiveServer(tmp_path / "data", settings))).named("connections")
        assert found["status"] == "fail"
        assert "pool_size" in found["mend"]

    asyncio.run(scene())


def test_a_key_that_is_refused_is_asked_once_and_never_shown(data_dir: Path) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.refuse(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})

    async def scene() -> None:
        async with ByteServer(refuse) as provider:
            model = {"provider": "openai_compatible", "base_url": f"{provider.url}/v1", "api_key": KEY}
            server = LiveServer(data_dir, {"MODELS": json.dumps({"one": model, "two": model})})
            done = await examined(server)
            assert [exchange.path for exchange in provider.exchanges] == ["/v1/models"]
            assert provider.exchanges[0].headers["authorization"] == f"Bearer {KEY}"
        [found] = [one for one in done.findings if "one, two" in one["message"]]
        assert (found["name"], found["status"]) == ("models", "fail")
        assert "the key is refused" in found["message"]
        assert KEY not in done.output

    asyncio.run(scene())


def test_anthropics_key_is_tried_as_anthropic_wants_it(data_dir: Path) -> None:
    async def take(exchange: Exchange) -> None:
        await exchange.refuse(200, {"data": []})

    async def scene() -> None:
        async with ByteServer(take) as provider:
            more = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
            done = await examined(LiveServer(data_dir), **more)
            assert [exchange.path for exchange in provider.exchanges] == ["/v1/models"]
            assert provider.exchanges[0].headers["x-api-key"] == KEY
            assert provider.exchanges[0].headers["anthropic-version"]
        assert [one["status"] for one in done.findings if "takes the key" in one["message"]] == ["ok"]
        assert KEY not in done.output

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("meddling", "failed", "advice"),
    [
        ({"hold": True}, {"stream"}, "proxy_buffering off"),
        ({"mute": True}, {"heartbeat"}, "proxy_buffering off"),
        ({"largest_body": 200_000}, {"body limit", "input limit"}, "client_max_body_size"),
        ({"drop": ("x-run-id",)}, {"run header"}, "proxy_hide_header X-Run-ID"),
        ({"squeeze": True}, {"compression"}, "gzip off"),
    ],
    ids=["hold", "mute", "largest_body", "drop", "squeeze"],
)
def test_what_a_proxy_does_wrong_is_found_and_named(
    data_dir: Path, meddling: dict[str, Any], failed: set[str], advice: str
) -> None:
    async def scene() -> None:
        async with (
            serving(data_dir, EMBEDDING__KIND="none") as server,
            MeddlingProxy(server.port, **meddling).running() as url,
        ):
            done = await examined(server, "--url", url)
        assert done.code == 1
        assert done.with_status("fail") >= failed
        assert all(advice in done.named(name)["mend"] for name in failed)
        assert "trusted_proxies" in done.named("address")["mend"]
        assert names(data_dir) == []

    asyncio.run(scene())


def test_a_proxy_that_meddles_with_nothing_passes(data_dir: Path) -> None:
    async def scene() -> None:
        async with serving(data_dir, TRUSTED_PROXIES='["127.0.0.1"]') as server:
            async with MeddlingProxy(server.port).running() as url:
                done = await examined(server, **{"AGENTCHAT_PUBLIC_URL": url})
        assert (done.code, done.with_status("fail"), done.with_status("skip")) == (0, set(), set())
        assert url in done.named("server")["message"]

    asyncio.run(scene())


def test_a_proxy_without_its_server_is_told_from_no_proxy(data_dir: Path) -> None:
    async def scene() -> None:
        async with MeddlingProxy(free_port()).running() as url:
            found = (await examined(LiveServer(data_dir), "--url", url)).named("server")
        assert "can't reach the server" in found["message"]
        assert "proxy_pass" in found["mend"]

    asyncio.run(scene())


def test_a_server_on_another_database_is_told_from_a_wrong_password(data_dir: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        other = tmp_path / "other"
        await migrate(f"sqlite:///{other / 'agentchat.db'}")
        async with serving(data_dir) as server:
            done = await examined(LiveServer(other, HASTE), "--url", server.url)
        assert "another database" in done.named("login")["message"]
        assert "data_dir" in done.named("login")["mend"]
        assert names(other) == names(data_dir) == []

    asyncio.run(scene())


@pytest.fixture
def in_the_foreground() -> Iterator[None]:
    """A shell lets what it runs in the background ignore Ctrl-C, and so does all that is started from there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_foreground")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_leaves_no_account_behind(data_dir: Path, number: signal.Signals) -> None:
    async def scene() -> None:
        async with serving(data_dir, HEARTBEAT_SECONDS=15, EMBEDDING__KIND="none") as server:
            process = await started(server)
            assert process.stdout is not None
            while not (line := await process.stdout.readline()).startswith(b"ok    login"):
                assert line
            assert names(data_dir)[0].startswith("doctor-")
            os.kill(process.pid, number)
            _, complaints = await process.communicate()
            assert (process.returncode, complaints) == (1, b"interrupted\n")
            assert names(data_dir) == []

    asyncio.run(scene())
