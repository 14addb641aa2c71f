"""The part of the object graph that makes vectors of texts, and judges what was found."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dishka import Provider, Scope, provide

from adapters.rerank import HttpReranker
from adapters.web import Posting, WebClient
from application.ports.embedder import Embedders
from application.ports.reranker import Reranker
from domain.errors import Unavailable
from entrypoints.graph.embedders import ConfiguredEmbedders
from entrypoints.settings.loading import Settings


@dataclass(frozen=True, slots=True)
class Reranking:
    """`reranker` is None where none is configured."""

    reranker: Reranker | None


@dataclass(frozen=True, slots=True)
class EmbeddingHealth:
    """No text is embedded for it: each would be paid for."""

    embedders: Embedders
    name: str = "embedding"

    async def check(self) -> None:
        if lacking := self.embedders.lacking:
            raise Unavailable("embedding_lacking", lacking)


class Embedding(Provider):
    """Needs Settings and the WebClient, which other providers have."""

    scope = Scope.APP

    @provide
    async def embedders(self, settings: Settings, http: WebClient) -> AsyncIterator[Embedders]:
        configured = ConfiguredEmbedders(settings, http)
        yield configured
        await configured.aclose()

    @provide
    def reranking(self, settings: Settings, http: WebClient) -> Reranking:
        return Reranking(reranker_of(settings, http))


def reranker_of(settings: Settings, http: WebClient) -> Reranker | None:
    chosen = settings.rerank
    if chosen.base_url is None:
        return None
    key = chosen.api_key.reveal() if chosen.api_key else ""
    connect_seconds = min(settings.connect_timeout_seconds, chosen.timeout)
    address = f"{chosen.base_url.rstrip('/')}/rerank"
    post = Posting(http, address, key, connect_seconds, retries=1)
    return HttpReranker(post, model=chosen.model, seconds=chosen.timeout)
