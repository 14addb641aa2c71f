"""Answers of an embeddings server and of a reranker, for ByteServer: right ones, and wrong ones."""

import base64
import hashlib
import math
import struct
from collections.abc import Callable, Sequence

from servers.byte_server import Exchange, Script

Item = dict[str, object]


def vector_of(text: str, dimensions: int) -> list[float]:
    """The same for the same text, of some length that is not 1."""
    seed = hashlib.shake_256(text.encode()).digest(dimensions)
    return [byte - 127.5 for byte in seed]


def embeddings(dimensions: int, change: Callable[[list[Item]], list[Item]] = lambda items: items) -> Script:
    """As was asked for: base64 or numbers; `dimensions` unless the request says. `change` spoils it."""

    async def script(exchange: Exchange) -> None:
        asked = exchange.json
        length = asked.get("dimensions", dimensions)
        items: list[Item] = []
        for place, text in enumerate(asked["input"]):
            floats = vector_of(text, length)
            packed = base64.b64encode(struct.pack(f"<{length}f", *floats)).decode()
            items.append({"index": place, "embedding": packed if asked.get("encoding_format") else floats})
        await exchange.refuse(200, {"object": "list", "data": change(items), "usage": {"total_tokens": 1}})

    return script


def scores(values: Sequence[float], name: str = "relevance_score") -> Script:
    """Best first, as servers give them."""

    async def script(exchange: Exchange) -> None:
        order = sorted(range(len(values)), key=lambda place: -values[place])
        results = [{"index": place, name: values[place], "document": {"text": "x"}} for place in order]
        await exchange.refuse(200, {"results": results})

    return script


def saying(body: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(200, body)

    return script


def refusing(status: int, body: object, headers: str = "") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(status, body, headers)

    return script


async def silence(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def cut(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
    exchange.abort()


def length(vector: bytes) -> float:
    return math.sqrt(sum(number * number for number in floats(vector)))


def floats(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def cosine(one: bytes, other: bytes) -> float:
    return sum(a * b for a, b in zip(floats(one), floats(other), strict=True))
