"""Embeddings as OpenAI's protocol has them: from texts to a request, from an answer to vectors."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from domain.errors import ModelError
from domain.knowledge.embeddings import Vector
from domain.tokens import CHARACTERS_A_TOKEN, beginning

MOST_TOKENS: Final = 8191
_BYTES_A_FLOAT: Final = 4
_NEVER: Final = re.compile("[\x00\ud800-\udfff]")


class Item(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class Answer(msgspec.Struct):
    data: list[Item]


_decode = msgspec.json.Decoder(Answer).decode
_encode = msgspec.json.Encoder().encode
NOT_UNDERSTOOD: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def legible(text: str) -> str:
    """No longer than a model reads, by an estimate; never empty, which is refused."""
    plain = _NEVER.sub(" ", text[: MOST_TOKENS * CHARACTERS_A_TOKEN])
    return beginning(plain, MOST_TOKENS) or " "


def halved(texts: Sequence[str]) -> list[str]:
    """None longer than half of the longest: the estimate was too low."""
    most = max(map(len, texts)) // 2
    return [text[:most] for text in texts]


def body_of(model: str, texts: Sequence[str], *, dimensions: int | None, compatible: bool) -> bytes:
    """`dimensions` for models that make shorter vectors when asked. Base64 is a quarter of the numbers written out."""
    body: dict[str, object] = {"model": model, "input": list(texts)}
    if dimensions is not None:
        body["dimensions"] = dimensions
    if not compatible:
        body["encoding_format"] = "base64"
    return _encode(body)


def vectors_in(answer: bytes, *, count: int, dimensions: int) -> list[Vector]:
    """In the order of the texts. Raises ModelError `model_bad_response`."""
    try:
        items = _decode(answer).data
    except NOT_UNDERSTOOD:
        raise _bad("something that is not embeddings") from None
    if len(items) != count:
        raise _bad(f"{len(items)} vectors for {count} texts")
    places = [place if item.index is None else item.index for place, item in enumerate(items)]
    if sorted(places) != list(range(count)):
        raise _bad("vectors that belong to no text")
    found: dict[int, Vector] = {}
    for place, item in zip(places, items, strict=True):
        found[place] = _normalised(_floats(item.embedding), dimensions)
    return [found[place] for place in range(count)]


def dimensions_in(answer: bytes) -> int:
    """Of the one vector that was asked for. Raises ModelError `model_bad_response`."""
    try:
        (item,) = _decode(answer).data
    except (*NOT_UNDERSTOOD, ValueError):
        raise _bad("something that is not an embedding") from None
    return len(vectors_in(answer, count=1, dimensions=len(_floats(item.embedding)))[0]) // _BYTES_A_FLOAT


def _floats(written: str | list[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    if isinstance(written, list):
        return np.array(written, dtype=np.float64)
    try:
        return np.frombuffer(base64.b64decode(written, validate=True), dtype="<f4").astype(np.float64)
    except (binascii.Error, ValueError):
        raise _bad("something that is not embeddings") from None


def _normalised(floats: "np.ndarray[tuple[int], np.dtype[np.float64]]", dimensions: int) -> Vector:
    if len(floats) != dimensions:
        raise _bad(f"vectors of {len(floats)} dimensions instead of {dimensions}")
    largest = float(np.abs(floats).max(initial=0.0))
    if not np.isfinite(largest) or largest == 0:
        raise _bad("a vector without a direction")
    # By the largest first: the squares of huge numbers have no end, those of tiny ones vanish.
    floats = floats / largest
    return Vector((floats / np.linalg.norm(floats)).astype("<f4").tobytes())


def _bad(what: str) -> ModelError:
    return ModelError("model_bad_response", f"The embedding model's server sent {what}.")
