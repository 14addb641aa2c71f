"""From a query and texts to a request, from an answer to scores. Nobody wrote this protocol down: servers differ."""

import math
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from domain.errors import ModelError

MOST_QUERY: Final = 4_000
MOST_TEXT: Final = 8_000
"""Characters. Models read 512 tokens to 8,192, and most servers cut what is longer."""
_NEVER: Final = re.compile("[\x00\ud800-\udfff]")


class Item(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class Answer(msgspec.Struct):
    results: list[Item]


_decode = msgspec.json.Decoder(Answer | list[Item]).decode
_encode = msgspec.json.Encoder().encode
NOT_UNDERSTOOD: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def body_of(model: str | None, query: str, texts: Sequence[str], *, plain: bool) -> bytes:
    """`plain` is how Text Embeddings Inference wants it."""
    read = [legible(text, MOST_TEXT) for text in texts]
    body: dict[str, object] = {"query": legible(query, MOST_QUERY)}
    if plain:
        return _encode(body | {"texts": read, "truncate": True})
    if model is not None:
        body["model"] = model
    return _encode(body | {"documents": read, "top_n": len(read)})


def legible(text: str, most: int) -> str:
    """An empty one is refused."""
    return _NEVER.sub(" ", text[:most]) or " "


def scores_in(answer: bytes, count: int) -> list[float]:
    """In the order of the texts. Raises ModelError `model_bad_response`."""
    try:
        decoded = _decode(answer)
    except NOT_UNDERSTOOD:
        raise _bad("something that is not scores") from None
    items = decoded.results if isinstance(decoded, Answer) else decoded
    found = {item.index: item.score if item.relevance_score is None else item.relevance_score for item in items}
    if len(items) != count or found.keys() != set(range(count)):
        raise _bad("scores that don't belong to the texts")
    scores = [found[place] for place in range(count)]
    known = [score for score in scores if score is not None and math.isfinite(score)]
    if len(known) != count:
        raise _bad("a score that is no number")
    return in_range(known)


def in_range(scores: list[float]) -> list[float]:
    """Some models tell logits. The order stays; where one is outside of 0 to 1 all are taken for logits."""
    if all(0 <= score <= 1 for score in scores):
        return scores
    return [0.5 + 0.5 * math.tanh(score / 2) for score in scores]


def _bad(what: str) -> ModelError:
    return ModelError("model_bad_response", f"The reranker sent {what}.")
