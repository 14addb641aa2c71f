"""Contents as a storage gives them: in pieces."""

from collections.abc import AsyncIterator


async def chunks(content: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
