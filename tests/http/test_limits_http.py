"""What the settings allow comes through, and the address that they name is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from litestar.testing import TestClient

from application.health import CheckHealth
from entrypoints.http.app import HttpConfig
from entrypoints.main import create_app
from entrypoints.settings.loading import load_settings
from http_answers import Client, code_of, data_of, http_alone

CHARACTERS = 300_000


@contextmanager
def running(database_url: str, folder: Path, **variables: str) -> Iterator[Client]:
    given = {f"AGENTCHAT_{name}": value for name, value in variables.items()}
    settings = load_settings({"AGENTCHAT_DATABASE_URL": database_url, **given}, folder)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        account = {"user_name": "ann", "user_password": "test"}
        client.post("/api/v1/user/register", json=account)
        token = client.post("/api/v1/user/login", json=account).json()["data"]["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


def test_a_question_as_long_as_allowed_comes_through_however_it_is_written(sqlite_url: str, tmp_path: Path) -> None:
    variables = {"MAX_INPUT_CHARS": str(CHARACTERS), "OFFLINE_DELAY_MS": "0", "DATA_DIR": str(tmp_path)}
    with running(sqlite_url, tmp_path, **variables) as client:
        for length in (CHARACTERS, CHARACTERS + 1):
            body = json.dumps({"dialog_id": "d1", "user_input": "😀" * length}).encode()
            assert len(body) > 12 * CHARACTERS
            asked = client.post("/api/v1/chat", content=body, headers={"content-type": "application/json"})
            if length > CHARACTERS:
                assert code_of(asked, 413) == "too_large"
            else:
                assert asked.status_code == 200
                assert "event: done" in asked.text


def test_pictures_are_at_the_public_address() -> None:
    with http_alone(CheckHealth(()), (HttpConfig, HttpConfig(public_url="https://chat.example.org/app/"))) as client:
        for url in data_of(client.get("/api/v1/user/icons")):
            assert url.startswith("https://chat.example.org/app/api/v1/user/icons/")
