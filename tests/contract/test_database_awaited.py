"""A database that is away is waited for; one that refuses, or is of another version, is a mistake to be mended."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import Unavailable
from entrypoints.schema_ready import await_database
from entrypoints.settings.loading import Settings, load_settings
from live.live_server import SECRETS
from servers.postgres import Postgres
from servers.tcp_proxy import TcpProxy

PATIENCE = 15
AT_ONCE = 8
"""On the slowest machine; a connection is waited for longer."""


def on(url: str, folder: Path) -> Settings:
    given = {"DATABASE_URL": url, "DATA_DIR": str(folder), "VECTOR__KIND": "embedded", "SECRET_KEYS": SECRETS}
    return load_settings({f"AGENTCHAT_{name}": value for name, value in given.items()}, folder)


@pytest.fixture
def locked(postgres: Postgres) -> Iterator[str]:
    """A user who needs a password."""
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    postgres.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
    rules.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{before}")
    postgres.execute("SELECT pg_reload_conf()")
    yield "locked"
    rules.write_text(before)
    postgres.execute("SELECT pg_reload_conf()")
    postgres.execute("DROP ROLE locked")


@pytest.mark.parametrize(
    ("who", "database", "code", "sentence"),
    [
        ("locked:wrong-word", "postgres", "database_refused", 'password authentication failed for user "locked"'),
        ("locked:right", "forbidden", "database_refused", 'permission denied for database "forbidden"'),
        ("nobody_here", "postgres", "database_refused", 'role "nobody_here" does not exist'),
        ("postgres", "no_such_place", "database_refused", 'database "no_such_place" does not exist'),
        ("postgres", "postgres?sslmode=maybe", "database_refused", "database_url can't be understood: `sslmode`"),
        ("postgres", "postgres", "schema_outdated", "agentchat migrate"),
    ],
)
async def test_what_no_waiting_mends_is_refused_in_a_sentence(
    postgres: Postgres, locked: str, tmp_path: Path, who: str, database: str, code: str, sentence: str
) -> None:
    if database == "forbidden":
        postgres.execute("CREATE DATABASE forbidden TEMPLATE template0")
        postgres.execute("REVOKE CONNECT ON DATABASE forbidden FROM PUBLIC")
    settings = on(f"postgresql://{who}@127.0.0.1:{postgres.port}/{database}", tmp_path)
    with pytest.raises(Unavailable) as refused:
        await asyncio.wait_for(await_database(settings, asyncio.Event()), PATIENCE)
    assert refused.value.code == code
    assert sentence in refused.value.message
    assert "wrong-word" not in refused.value.message
    if database == "forbidden":
        postgres.execute("DROP DATABASE forbidden")


async def test_an_outage_is_waited_out_however_it_shows(postgres: Postgres, postgres_url: str, tmp_path: Path) -> None:
    async with TcpProxy(postgres.port) as proxy, asyncio.timeout(PATIENCE):
        proxy.manner = "refuse"
        settings = on(postgres_url.replace(str(postgres.port), str(proxy.port)), tmp_path)
        awaiting = asyncio.create_task(await_database(settings, asyncio.Event()))
        await proxy.newcomers(3)
        assert not awaiting.done()
        proxy.manner = "forward"
        assert await awaiting


@pytest.mark.parametrize("manner", ["refuse", "hold"])
async def test_a_stop_ends_the_waiting(postgres: Postgres, tmp_path: Path, manner: str) -> None:
    async with TcpProxy(postgres.port) as proxy, asyncio.timeout(PATIENCE):
        proxy.manner = manner  # type: ignore[assignment]
        stop = asyncio.Event()
        settings = on(f"postgresql://postgres@127.0.0.1:{proxy.port}/x", tmp_path)
        awaiting = asyncio.create_task(await_database(settings, stop))
        await proxy.newcomers(1)
        stop.set()
        assert await asyncio.wait_for(awaiting, AT_ONCE) is False


async def test_who_was_told_to_stop_before_does_not_begin(sqlite_url: str, tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await await_database(on(sqlite_url, tmp_path), stop) is False
    assert await await_database(on(sqlite_url, tmp_path), asyncio.Event())
