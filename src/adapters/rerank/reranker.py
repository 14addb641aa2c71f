"""The Reranker behind HTTP."""

from collections.abc import Sequence
from typing import Protocol

from adapters.rerank.wire import body_of, scores_in
from domain.errors import ModelError


class Post(Protocol):
    """One request to the address, tried again where that helps."""

    async def __call__(self, body: bytes, *, seconds: float) -> bytes:
        """Raises ModelError."""
        ...


class HttpReranker:
    def __init__(self, post: Post, *, model: str | None = None, seconds: float = 10.0) -> None:
        self._post = post
        self._model = model
        self._seconds = seconds
        self._plain = False

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        if not texts:
            return []
        return scores_in(await self._asked(query, texts), len(texts))

    async def _asked(self, query: str, texts: Sequence[str]) -> bytes:
        plain = self._plain
        try:
            return await self._post(body_of(self._model, query, texts, plain=plain), seconds=self._seconds)
        except ModelError as error:
            if plain or error.code != "model_bad_request":
                raise
        # A server of the other kind refuses our first words; the next questions are put in its own.
        answer = await self._post(body_of(self._model, query, texts, plain=True), seconds=self._seconds)
        self._plain = True
        return answer
