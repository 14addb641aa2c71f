"""The part of the object graph that asks servers which users, models and documents name, and searches the web."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dishka import Provider, Scope, provide

from adapters.web import WebClient
from adapters.web.guarded import GuardedHttp
from adapters.web_search import Asking, Bocha, Searxng, Tavily
from adapters.web_search.bocha import BOCHA
from adapters.web_search.tavily import TAVILY
from application.ports.guarded_web import GuardedWeb
from application.ports.web_search import SearchEngine
from domain.tools.addresses import Reach
from entrypoints.settings.loading import Settings


@dataclass(frozen=True, slots=True)
class Searching:
    """`engine` is None where none is configured."""

    engine: SearchEngine | None


class GuardedAccess(Provider):
    """Needs Settings and the WebClient, which other providers have. GuardedHttp makes the clients of SDKs."""

    scope = Scope.APP

    @provide
    async def guarded(self, settings: Settings) -> AsyncIterator[GuardedHttp]:
        guarded = GuardedHttp(reach_of(settings))
        yield guarded
        await guarded.aclose()

    @provide
    def web(self, guarded: GuardedHttp) -> GuardedWeb:
        return guarded

    @provide
    def searching(self, settings: Settings, http: WebClient) -> Searching:
        return Searching(engine_of(settings, http))


def reach_of(settings: Settings) -> Reach:
    return Reach.of(settings.network.allow_private, settings.network.allow_ports)


def engine_of(settings: Settings, http: WebClient) -> SearchEngine | None:
    """The operator chose its address, so it may be anywhere."""
    chosen = settings.web_search
    ask = Asking(http, chosen.api_key.reveal() if chosen.api_key else "", chosen.timeout)
    match chosen.kind:
        case "none":
            return None
        case "searxng":
            return Searxng(ask, chosen.base_url or "")
        case "tavily":
            return Tavily(ask, chosen.base_url or TAVILY)
        case "bocha":
            return Bocha(ask, chosen.base_url or BOCHA)
