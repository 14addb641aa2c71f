"""What parent and child say to each other: four bytes of length, then MessagePack of these types and no others."""

from typing import Final, Literal

import msgspec

from domain.conversation.conversation import Image
from domain.files.documents import ParsedDocument

HEAD: Final = 4
MAX_QUESTION: Final = 4096
Task = Literal["parse", "picture"]


class Question(msgspec.Struct, frozen=True):
    """The content's descriptor goes with it. `number` comes back with the answer."""

    number: int
    task: Task
    kind: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """A child's first word."""


class Parsed(msgspec.Struct, frozen=True, tag="parsed"):
    """`peak` is the most memory that the child ever had, in bytes."""

    number: int
    peak: int
    document: ParsedDocument


class Pictured(msgspec.Struct, frozen=True, tag="pictured"):
    number: int
    peak: int
    image: Image


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    number: int
    peak: int
    code: str
    reason: str


Answer = Parsed | Pictured | Refused
_encoder = msgspec.msgpack.Encoder()
_words: msgspec.msgpack.Decoder[Ready | Parsed | Pictured | Refused] = msgspec.msgpack.Decoder(
    Ready | Parsed | Pictured | Refused
)
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)


def framed(message: Ready | Answer) -> bytes:
    body = _encoder.encode(message)
    return len(body).to_bytes(HEAD) + body


def encode_question(question: Question) -> bytes:
    return _encoder.encode(question)


def decode_question(body: bytes) -> Question:
    return _questions.decode(body)


def decode_word(body: bytes | bytearray) -> Ready | Answer:
    """Raises msgspec.MsgspecError, or UnicodeDecodeError, for anything else."""
    return _words.decode(body)
