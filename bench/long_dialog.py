"""Time to the first token in dialogs of 20 and of 2,000 messages, by turns, on SQLite and on Postgres.

.venv/bin/python bench/long_dialog.py --questions 60
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import httpx
from database import postgres
from run import provider
from server import API, Server
from sqlalchemy import insert

from adapters.database.engine import open_database
from adapters.database.tables import dialogs, messages
from domain.ids import new_id

SIZES = (20, 2000)
TEXT = "Something was said of this, and somebody wrote it down. " * 4


def rows(user_id: str, dialog_id: str, size: int) -> list[dict[str, object]]:
    now, empty = datetime.now(UTC), {column.name: None for column in messages.c}
    said = {"status": "complete", "model": "m", "steps": "[]", "rounds": "[]", "citations": "[]", "closed_at": now}
    used = {"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0, "estimated": False}
    place = {"user_id": user_id, "dialog_id": dialog_id, "created_at": now, "content": TEXT}
    return [
        {**empty, **place, "message_id": new_id(), "position": number}
        | ({**said, **used, "run_id": new_id()} if number % 2 else {})
        for number in range(size)
    ]


async def fill(url: str, user_id: str, dialog_ids: list[str], size: int) -> None:
    """Dialogs of so many messages, written beside the server."""
    now, database = datetime.now(UTC), open_database(url)
    about = {"user_id": user_id, "agent_id": "default", "agent_name": "Assistant", "logo_url": ""}

    def write() -> None:
        with database.writer.begin() as connection:
            for dialog_id in dialog_ids:
                dialog = {**about, "dialog_id": dialog_id, "name": "long", "created_at": now, "updated_at": now}
                connection.execute(insert(dialogs), [dialog])
                connection.execute(insert(messages), rows(user_id, dialog_id, size))

    await database.run(write)
    await database.aclose()


def first_token_ms(client: httpx.Client, dialog_id: str) -> float:
    began, first = time.perf_counter(), 0.0
    with client.stream("POST", f"{API}/chat", json={"user_input": "And now?", "dialog_id": dialog_id}) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if not first and line.startswith("event: response_chunk"):
                first = time.perf_counter() - began
    return first * 1000


def measure(database: str, questions: int) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentchat-bench-")))
        url = stack.enter_context(provider(folder))
        database_url, _ = stack.enter_context(postgres() if database == "postgres" else nullcontext((None, 0)))
        server = Server(folder, f"{url}/v1", database_url)
        if database_url:
            server.migrate()
        server.start()
        stack.callback(server.complain)
        stack.callback(server.stop)
        server.log_in()
        user = server.call("GET", "/user/info")
        assert isinstance(user, dict)
        address = database_url or f"sqlite:///{folder / 'data' / 'agentchat.db'}"
        named = {size: [f"{size}-{number}" for number in range(questions)] for size in SIZES}
        for size, dialog_ids in named.items():
            asyncio.run(fill(address, user["user_id"], dialog_ids, size))
        headers = {"Authorization": f"Bearer {server.token}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            for number in range(5):
                first_token_ms(client, f"warm-{number}")
            taken = {size: [] for size in SIZES}
            for number in range(questions):
                for size in SIZES:
                    taken[size].append(first_token_ms(client, named[size][number]))
        return {str(size): {"median_ms": median(ms), "p90_ms": quantiles(ms, n=10)[-1]} for size, ms in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60, help="in dialogs of each size")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgres"), default=("sqlite", "postgres"))
    given = parser.parse_args()
    json.dump({one: measure(one, given.questions) for one in given.databases}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
