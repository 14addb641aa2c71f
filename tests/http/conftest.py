"""The whole application, with a client, on the database of the test: what asks for it runs on every database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from dishka import Provider, Scope
from litestar import Litestar
from litestar.testing import TestClient

from adapters.database.engine import postgres_creator
from adapters.jobs import PostgresJobs
from adapters.security import Argon2Hasher
from application.ports.security import PasswordHasher
from asked_statements import AskedStatements, asked_statements
from entrypoints.main import create_app
from entrypoints.settings.loading import load_settings
from http_answers import Client, Headers, Register, Serving
from servers.postgres import Postgres

PASSWORD = "test"
_numbers = count(1)
# Most tests have users, and no test of HTTP is about the cost of a guess.
CHEAP = Provider(scope=Scope.APP)
CHEAP.provide(lambda: Argon2Hasher(time_cost=1, memory_kib=8), provides=PasswordHasher)


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres, postgres_template: str) -> str:
    """With the tables of the queue."""
    name = "template_http"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template} STRATEGY {postgres.copying}")
    asyncio.run(_prepare_jobs(postgres.url(name)))
    return name


async def _prepare_jobs(url: str) -> None:
    jobs = PostgresJobs(postgres_creator(url))
    await jobs.prepare()
    await jobs.aclose()


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def serving() -> Serving:
    return _serving


@pytest.fixture(scope="module")
def shared(shared_database_url: str, shared_folder: Path) -> Iterator[Client]:
    """One server for all tests of a module: making one costs more than most of them do."""
    with _serving(shared_database_url, shared_folder) as made:
        yield made


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """Where `client` is. Tests have users of their own; who counts what is everybody's asks for a `fresh` server."""
    return shared_database_url


@pytest.fixture
def client(shared: Client) -> Client:
    return shared


@pytest.fixture
def app(client: Client) -> Litestar:
    made: Litestar = client.app
    return made


@pytest.fixture
def fresh(fresh_database_url: str, tmp_path: Path) -> Iterator[Client]:
    """A server of the test's own."""
    with _serving(fresh_database_url, tmp_path) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def fresh_database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def another_server(database_url: str, tmp_path: Path, client: Client) -> Iterator[Client]:
    """On the same database, and without memory of what `client` asked."""
    with _serving(database_url, tmp_path) as made:
        yield made


@contextmanager
def _serving(database_url: str, folder: Path, *instead: Provider, **changes: str) -> Iterator[Client]:
    variables = {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEYS": '["a-secret-of-the-tests-that-is-long-enough-0123456789"]',
        "EMBEDDING__KIND": "none",
        "VECTOR__KIND": "embedded",
        "INGESTION__IN_SERVER": "true",
        # Word by word still, but no person is to see them come.
        "OFFLINE_DELAY_MS": "1",
        **changes,
    }
    settings = load_settings({f"AGENTCHAT_{name}": value for name, value in variables.items()}, folder)
    with TestClient(create_app(settings, instead=[CHEAP, *instead]), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def register(register_exactly: Register) -> Register:
    """Makes a user, whose name begins so, and gives the headers that speak for them."""
    return lambda name="user": register_exactly(f"{name}-{next(_numbers)}")


@pytest.fixture
def register_exactly(client: Client) -> Register:
    def make(name: str) -> Headers:
        account = {"user_name": name, "user_password": PASSWORD}
        made = client.post("/api/v1/user/register", json=account)
        assert made.status_code == 200, made.text
        logged_in = client.post("/api/v1/user/login", json=account).json()["data"]
        return {"authorization": f"Bearer {logged_in['access_token']}"}

    return make


@pytest.fixture
def statements() -> Iterator[AskedStatements]:
    with asked_statements() as counted:
        yield counted
