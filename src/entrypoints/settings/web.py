"""Settings of the search of the web: its key, and the rules between them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import structs

from entrypoints.settings.rules import bad_address
from entrypoints.settings.schema import Settings, WebSearchSettings
from entrypoints.settings.secrets import Secret
from entrypoints.settings.sources import SettingPath

Problems = Iterator[tuple[SettingPath, str]]


def with_search_key(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Filled in from the variable that holds it, which is then told as its source."""
    chosen = settings.web_search
    named = chosen.api_key_env
    if chosen.api_key is not None or not named or not environ.get(named):
        return settings
    filled = structs.replace(chosen, api_key=Secret(environ[named]))
    return structs.replace(settings, web_search=filled, sources={**settings.sources, "web_search.api_key": named})


def web_search(settings: Settings) -> Problems:
    chosen = settings.web_search
    if chosen.kind == "none":
        if chosen != WebSearchSettings():
            yield ("web_search", "kind"), "must be searxng, tavily or bocha, or nothing of [web_search] set"
        return
    if chosen.kind == "searxng" and chosen.base_url is None:
        yield ("web_search", "base_url"), "must be set for searxng, such as http://localhost:8888"
    if chosen.kind != "searxng" and not chosen.api_key:
        named = f"; {chosen.api_key_env}, which api_key_env names, is not" if chosen.api_key_env else ""
        yield ("web_search", "api_key"), f"must be set for {chosen.kind}{named}"
    if chosen.base_url and (problem := bad_address(chosen.base_url)):
        yield ("web_search", "base_url"), problem


WEB_RULES: Final[tuple[Callable[[Settings], Problems], ...]] = (web_search,)
