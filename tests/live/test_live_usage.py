"""The ledger of a server that is killed in mid-answer: each call of a model once, and what its answer says."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from live.live_server import STOP, UNLIMITED, LiveServer, Person, begin_and_hang, chunk, free_port, settings_for
from servers.byte_server import ByteServer, Exchange

PRICES = {"input": 3, "output": 15, "cached_input": 0.5, "currency": "EUR"}


def with_prices(port: int, **more: object) -> Mapping[str, object]:
    settings = settings_for(port, **more)
    models = json.loads(str(settings["MODELS"]))
    models["fake"]["prices"] = PRICES
    return {**settings, "MODELS": json.dumps(models)}


async def counted(exchange: Exchange) -> None:
    await exchange.head()
    usage = {"prompt_tokens": 40, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 30}}
    await exchange.events(chunk("Hel"), chunk("lo"), STOP, {"choices": [], "usage": usage}, b"[DONE]")
    await exchange.end()


async def rows(person: Person, group_by: str = "model") -> list[Any]:
    found: list[Any] = await person.get("/usage", group_by=group_by)
    return found


async def test_killed_in_mid_answer_the_ledger_has_one_interrupted_row_with_an_estimate(tmp_path: Path) -> None:
    port = free_port()
    server = LiveServer(tmp_path, with_prices(port, QUOTA__RUNS_PER_DAY=2, SHUTDOWN_GRACE_SECONDS=1))
    try:
        await server.start()
        async with (
            ByteServer(counted, begin_and_hang, port=port),
            httpx.AsyncClient(base_url=server.url, timeout=30, limits=UNLIMITED) as client,
        ):
            person = await Person.register(client)
            done = (await person.answer("count")).pop().data
            assert done["usage"] == {"input_tokens": 40, "output_tokens": 2, "cached_tokens": 30, "estimated": False}
            (whole,) = await rows(person)
            # 10 fresh tokens at 3, 30 cached ones at 0.5 and 2 written ones at 15, each for a million.
            assert (whole["runs"], whole["attempts"], whole["cost"]) == (1, 1, 0.000075)

            async with person.ask("half", "e", background=True) as stream:
                assert (await anext(stream.frames())).event == "response_chunk"
                await until_logged(tmp_path, stream.response.headers["x-run-id"])
            await server.restart()

            kept = (await person.history("e"))[-1]
            assert (kept["status"], kept["content"], kept["usage"]["estimated"]) == ("interrupted", "half", True)
            (both,) = await rows(person)
            assert (both["runs"], both["attempts"], both["estimated_attempts"]) == (2, 2, 1)
            for name in ("input_tokens", "output_tokens", "cached_tokens"):
                assert both[name] == done["usage"][name] + kept["usage"].get(name, 0)
            assert both["cost"] > whole["cost"]
            assert both["currency"] == "EUR"
            refused = await client.post(
                "/api/v1/chat", json={"user_input": "more", "dialog_id": "f"}, headers=person.headers
            )
            assert refused.status_code == 429
            assert refused.json()["error"]["code"] == "quota_exceeded"
            assert int(refused.headers["retry-after"]) >= 1

            await server.restart()
            assert await rows(person) == [both]
    finally:
        server.kill()


async def silent(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.closed.wait()


async def test_killed_before_the_first_word_the_ledger_has_the_call(tmp_path: Path) -> None:
    port = free_port()
    server = LiveServer(tmp_path, with_prices(port, SHUTDOWN_GRACE_SECONDS=1))
    try:
        await server.start()
        async with (
            ByteServer(silent, port=port),
            httpx.AsyncClient(base_url=server.url, timeout=30, limits=UNLIMITED) as client,
        ):
            person = await Person.register(client)
            async with person.ask("a long question", "d", background=True) as stream:
                await until_logged(tmp_path, stream.response.headers["x-run-id"], least=0)
            await server.restart()
            kept = (await person.history("d"))[-1]
            (row,) = await rows(person)
            assert (kept["status"], kept["content"], kept["usage"]["estimated"]) == ("interrupted", "", True)
            assert (row["runs"], row["attempts"], row["estimated_attempts"], row["output_tokens"]) == (1, 1, 1, 0)
            assert row["input_tokens"] == kept["usage"]["input_tokens"] > 0
            assert row["cost"] > 0
    finally:
        server.kill()


async def until_logged(folder: Path, run_id: str, least: int = 1) -> None:
    """Until what was shown is in the database; from number 0 on, what was kept beside it too."""
    with closing(sqlite3.connect(folder / "agentchat.db")) as database:
        for _ in range(500):
            if database.execute(
                "SELECT 1 FROM run_log WHERE run_id = ? AND first_seq >= ?", [run_id, least]
            ).fetchone():
                return
            await asyncio.sleep(0.02)
    raise AssertionError("nothing was written")
