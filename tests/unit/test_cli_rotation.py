"""`agentchat rotate-keys`: what an operator reads, and the exit code that a script goes by."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from adapters.database.schema import migrate
from adapters.database.transactions import DatabaseTransactions
from domain.ids import ModelId, UserId
from entrypoints.cli import main
from model_desk import KEY, ModelDesk
from stored import registered

OLD = "the-old-secret-that-is-long-enough-0123456789"
NEW = "the-new-secret-that-is-long-enough-0123456789"
OTHER = "some-other-secret-that-is-long-enough-012345"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path / 'agentchat.db'}"
    monkeypatch.setenv("AGENTCHAT_DATABASE_URL", address)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield address
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def with_model(url: str, secret: str) -> tuple[UserId, ModelId]:
    await migrate(url)
    transactions = DatabaseTransactions.open(url)
    try:
        owner = await registered(transactions)
        return owner, (await ModelDesk(transactions, (secret,)).create(owner)).llm_id
    finally:
        await transactions.aclose()


async def key_under(url: str, secret: str, owner: UserId, llm_id: ModelId) -> str:
    transactions = DatabaseTransactions.open(url)
    try:
        async with transactions.autocommit() as tx:
            return ModelDesk(transactions, (secret,)).seals.key(await tx.models.get(llm_id, owner=owner))
    finally:
        await transactions.aclose()


def test_afterwards_the_new_key_is_enough(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, llm_id = asyncio.run(with_model(url, OLD))
    monkeypatch.setenv("AGENTCHAT_SECRET_KEYS", json.dumps([NEW, OLD]))
    assert main(["rotate-keys"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2] == "models: 1 sealed anew, 0 were already, 0 changed meanwhile, 0 can't be opened"
    assert said[-1].startswith("Nothing lies under an older key")
    assert asyncio.run(key_under(url, NEW, owner, llm_id)) == KEY
    assert main(["rotate-keys"]) == 0
    assert "models: 0 sealed anew, 1 were already" in capsys.readouterr().out


def test_what_can_t_be_opened_is_named_and_the_command_fails(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, llm_id = asyncio.run(with_model(url, OTHER))
    monkeypatch.setenv("AGENTCHAT_SECRET_KEYS", json.dumps([NEW, OLD]))
    assert main(["rotate-keys"]) == 1
    said = capsys.readouterr().err
    assert f"can't be opened: models {llm_id}" in said
    assert "Put that key back" in said
    assert KEY not in said
