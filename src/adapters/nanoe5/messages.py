"""What parent and child say to each other: each message behind its length."""

from typing import Final

import msgspec

HEAD: Final = 4


class Question(msgspec.Struct, array_like=True):
    """`text` is `legible`."""

    is_query: bool
    text: str


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Question).decode


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(HEAD) + body
