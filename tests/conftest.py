"""Fixtures for every suite.

Async tests and async fixtures need no marker: anyio's plugin runs them, on uvloop where it is installed, all of one
module's in one event loop. `@given` works on async tests too.

- `database_url`: a fresh, migrated database; the test runs once on SQLite and once on Postgres.
- `shared_database_url`: one for all tests of a module; whoever asks for it must not mind what the others leave there.
- `sqlite_url`, `postgres_url`: a fresh one on one of them. `empty_database_url`: without tables, on both.
- `transactions`: DatabaseTransactions on `database_url`, closed after the test.
- `postgres`: this worker's server (tests/servers/postgres.py).
- `seaweedfs`: this worker's S3 server (tests/servers/seaweedfs.py).
- `statements`: the SQL that `transactions` sent, in order; clear it, act, and count.
"""

import asyncio
import gc
import importlib.util
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import event

from adapters.database.schema import migrate
from adapters.database.transactions import DatabaseTransactions
from compiled_once import compiled_once
from servers.postgres import Postgres
from servers.seaweedfs import SeaweedFS

settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

_UVLOOP = importlib.util.find_spec("uvloop") is not None
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.option.anyio_mode = "auto"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: nobody need look through it for garbage, then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    with compiled_once():
        yield


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": _UVLOOP}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    server = SeaweedFS()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    postgres.execute("CREATE DATABASE template_agentchat")
    asyncio.run(migrate(postgres.url("template_agentchat")))
    return "template_agentchat"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "agentchat.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


class Databases:
    """Copies of databases, made over one connection: to start psql for each takes longer than to copy one."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        # The tests' own loops are theirs: this one is never the current one.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._connection: asyncpg.Connection | None = None

    def copy(self, template: str) -> Iterator[str]:
        name = f"test_{next(_numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {self._postgres.copying}")
        yield self._postgres.url(name)
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._runner.close()

    def _execute(self, statement: str) -> None:
        try:
            self._runner.run(self._said(statement))
        except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError, OSError):
            # The test before this one has restarted the server.
            self._connection = None
            self._runner.run(self._said(statement))

    async def _said(self, statement: str) -> None:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._postgres.url())
        await self._connection.execute(statement)


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Databases]:
    made = Databases(postgres)
    yield made
    made.close()


@pytest.fixture
def postgres_url(databases: Databases, postgres_template: str) -> Iterator[str]:
    yield from databases.copy(postgres_template)


def _sqlite_database(folder: Path, template: Path) -> str:
    file = folder / "agentchat.db"
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return _sqlite_database(tmp_path, sqlite_template)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="module")
def shared_postgres_url(databases: Databases, postgres_template: str) -> Iterator[str]:
    yield from databases.copy(postgres_template)


@pytest.fixture(scope="module")
def shared_sqlite_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _sqlite_database(tmp_path_factory.mktemp("shared"), sqlite_template)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"shared_{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'empty.db'}"
    else:
        yield from request.getfixturevalue("databases").copy("template0")


@pytest.fixture
async def transactions(database_url: str) -> AsyncIterator[DatabaseTransactions]:
    opened = DatabaseTransactions.open(database_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def statements(transactions: DatabaseTransactions) -> list[str]:
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    for engine in transactions.database.engines:
        event.listen(engine, "before_cursor_execute", note)
    return sent
