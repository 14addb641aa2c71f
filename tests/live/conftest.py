"""One server for all live tests that need no settings of their own."""

import asyncio
from collections.abc import Iterator

import pytest

from live.live_server import Live, LiveServer, free_port, settings_for


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    port = free_port()
    settings = settings_for(port, HEARTBEAT_SECONDS=0.1, IDLE_TIMEOUT_SECONDS=0.5)
    server = LiveServer(tmp_path_factory.mktemp("live"), settings)
    try:
        asyncio.run(server.start())
        yield Live(server, port)
    finally:
        server.kill()
