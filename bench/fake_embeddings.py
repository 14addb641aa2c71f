"""A fake provider of embeddings that answers at once: POST …/embeddings, as OpenAI's protocol has it."""

import asyncio
import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from processes import stop
from server import free_port

DIMENSIONS = 384


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            body = _body(json.loads(await reader.readexactly(length)) if length else {"input": []})
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _body(asked: dict[str, object]) -> bytes:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vectors = np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    packed = asked.get("encoding_format") == "base64"
    data = [
        {"index": at, "embedding": base64.b64encode(one.tobytes()).decode() if packed else one.tolist()}
        for at, one in enumerate(vectors)
    ]
    return json.dumps({"data": data, "model": "fake", "usage": {"prompt_tokens": 1, "total_tokens": 1}}).encode()


@contextmanager
def provider() -> Iterator[dict[str, str]]:
    """In a process of its own; the settings with which the product asks it."""
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, str(port)], start_new_session=True)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        address = f"http://127.0.0.1:{port}/v1"
        kind = {"kind": "openai_compatible", "base_url": address, "model": "fake", "dimensions": DIMENSIONS}
        yield {"EMBEDDING": json.dumps(kind)}
    finally:
        stop(process)


async def serve(port: int) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", port, limit=1 << 24) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
