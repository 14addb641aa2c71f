"""An account is deleted while its file is being read: within seconds nothing of it is left."""

import asyncio
import signal
import time
from pathlib import Path

import httpx

from live.live_knowledge import TABLES, counted, filled, sent, status
from live.live_server import PASSWORD, LiveServer, Person

FIRST_LOOK_SECONDS = 3.1
"""By then the upkeep has looked, and does so again only after half a minute."""
SOON = 20.0


async def test_nothing_is_left_of_an_account_that_is_deleted_amid_ingestion(sqlite_url: str, tmp_path: Path) -> None:
    server = LiveServer(tmp_path, {"DATABASE_URL": sqlite_url})
    began = time.monotonic()
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            person = await Person.register(client)
            await asyncio.sleep(FIRST_LOOK_SECONDS - (time.monotonic() - began))
            text = "\n\n".join(f"Paragraph {number} is about the mill at river {number}." for number in range(60_000))
            _, file_id = await filled(person, "going", text.encode(), "mills.txt")
            async with asyncio.timeout(SOON):
                while not (await status(person, file_id))["chunks"]:
                    await asyncio.sleep(0.01)
            assert (await status(person, file_id))["status"] == "process"
            await sent(person, "DELETE", "/user/delete", {"user_password": PASSWORD})
            async with asyncio.timeout(SOON):
                while any((await counted(sqlite_url, (*TABLES, "jobs"))).values()):
                    await asyncio.sleep(0.1)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
    finally:
        server.kill()
