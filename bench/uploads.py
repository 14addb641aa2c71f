"""How much memory and time uploads take: many at once, at one process, into a folder or an S3 storage (SeaweedFS).

.venv/bin/python bench/uploads.py --uploads 20 --mebibytes 50 --storage s3
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
from processes import cpu_seconds, rss_mb
from server import API, Server

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from live.s3_settings import s3  # noqa: E402
from servers.seaweedfs import SeaweedFS  # noqa: E402

MEBIBYTE = 1 << 20
EDGE = "bench-edge"
HEAD = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="bench.pdf"\r\n\r\n'.encode()
TAIL = f"\r\n--{EDGE}--\r\n".encode()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=20, help="at once")
    parser.add_argument("--mebibytes", type=int, default=50, help="of each file")
    parser.add_argument("--storage", choices=("local", "s3"), default="local")
    parser.add_argument("--folder", type=Path, help="where the server keeps its data; else a temporary one")
    return parser.parse_args()


async def form(mebibytes: int) -> AsyncIterator[bytes]:
    mark = b"%PDF-1.4\n"
    yield HEAD + mark
    for _ in range(mebibytes - 1):
        yield bytes(MEBIBYTE)
    yield bytes(MEBIBYTE - len(mark)) + TAIL


async def upload(client: httpx.AsyncClient, token: str, mebibytes: int) -> float:
    headers = {"authorization": f"Bearer {token}", "content-type": f"multipart/form-data; boundary={EDGE}"}
    began = time.monotonic()
    response = await client.post(f"{API}/upload", content=form(mebibytes), headers=headers)
    response.raise_for_status()
    return time.monotonic() - began


async def measure(server: Server, uploads: int, mebibytes: int) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:
        await upload(client, server.token, 1)
        before, cpu, began = rss_mb(server.pid), cpu_seconds(server.pid), time.monotonic()
        going = asyncio.gather(*(upload(client, server.token, mebibytes) for _ in range(uploads)))
        most = before
        while not going.done():
            most = max(most, rss_mb(server.pid))
            await asyncio.sleep(0.01)
        slowest, wall = max(await going), time.monotonic() - began
        await asyncio.sleep(2)
        return {
            "rss_before_mib": round(before, 1),
            "rss_most_mib": round(most, 1),
            "rss_grown_mib": round(most - before, 1),
            "rss_after_mib": round(rss_mb(server.pid), 1),
            "slowest_upload_seconds": round(slowest, 2),
            "mib_a_second": round(uploads * mebibytes / wall, 1),
            "server_cpu_ms_a_mib": round(1000 * (cpu_seconds(server.pid) - cpu) / (uploads * mebibytes), 2),
        }


def main() -> None:
    given = options()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, ExitStack() as closing:
        settings = {"MAX_CONCURRENT_UPLOADS": str(8 * given.uploads)}
        if given.storage == "s3":
            storage = SeaweedFS().start()
            closing.callback(storage.close)
            settings |= {name: str(value) for name, value in s3(storage).items()}
        server = Server(Path(folder), "http://127.0.0.1:9/v1", more=settings)
        server.start()
        try:
            server.log_in()
            print(json.dumps(asyncio.run(measure(server, given.uploads, given.mebibytes)), indent=2))
        finally:
            server.stop()
            server.complain()


if __name__ == "__main__":
    main()
