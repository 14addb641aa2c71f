"""The models of the configuration: those that come with the product, the vendors' keys, the catalogue."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import structs

from domain.ids import ModelId
from domain.models.models import ModelSpec, Prices, Provider, key_id_of
from entrypoints.settings.schema import ModelSettings, PriceSettings, Settings
from entrypoints.settings.secrets import Secret
from entrypoints.settings.sources import Given, SettingPath, dotted

OFFLINE: Final = "offline"

BUILT_IN: Final[Mapping[str, ModelSettings]] = {
    "gpt-5.5": ModelSettings(provider="openai", context_window=400_000, vision=True),
    "gpt-5.4-mini": ModelSettings(provider="openai", context_window=400_000, vision=True),
    "gpt-4": ModelSettings(provider="openai", context_window=8_192),
    "claude-sonnet-5-5": ModelSettings(
        provider="anthropic", context_window=200_000, max_output_tokens=16_384, vision=True
    ),
    "claude-opus-5-5": ModelSettings(
        provider="anthropic", context_window=200_000, max_output_tokens=16_384, vision=True
    ),
    "claude-haiku-5-5": ModelSettings(
        provider="anthropic", context_window=200_000, max_output_tokens=16_384, vision=True
    ),
    OFFLINE: ModelSettings(provider="offline", context_window=32_768),
}

VENDOR_KEYS: Final = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
VENDOR_ADDRESSES: Final = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}


def written_name(path: SettingPath, known: Iterable[str]) -> SettingPath:
    """A variable's model name, matched to a known one regardless of case, `_` standing for what shells refuse."""
    if len(path) < 2 or path[0] != "models":
        return path
    names = list(known)
    same = [name for name in names if name.lower() == path[1].lower()]
    alike = [name for name in names if plain(name) == plain(path[1])]
    name = path[1] if path[1] in names else (same or alike or [path[1]])[0]
    return ("models", name, *path[2:])


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def with_vendor_values(
    models: Mapping[str, ModelSettings], environ: Mapping[str, str]
) -> tuple[dict[str, ModelSettings], dict[str, str]]:
    """The enabled models with key and address filled in, and the variable that each filled value came from."""
    filled: dict[str, ModelSettings] = {}
    sources: dict[str, str] = {}
    for name, model in models.items():
        if not model.enabled:
            continue
        key_variable = model.api_key_env or VENDOR_KEYS.get(model.provider)
        if model.api_key is None and key_variable and environ.get(key_variable):
            model = structs.replace(model, api_key=Secret(environ[key_variable]))
            sources[dotted(("models", name, "api_key"))] = key_variable
        address_variable = VENDOR_ADDRESSES.get(model.provider)
        if model.base_url is None and address_variable and environ.get(address_variable):
            model = structs.replace(model, base_url=environ[address_variable])
            sources[dotted(("models", name, "base_url"))] = address_variable
        filled[name] = model
    return filled, sources


def in_order(given: Iterable[Given]) -> list[str]:
    """The operator's models first, as they were written, then the rest of the built-in ones."""
    own = [item.path[1] for item in given if len(item.path) > 1 and item.path[0] == "models"]
    return list(dict.fromkeys([*own, *BUILT_IN]))


def first_available(models: Mapping[str, ModelSettings]) -> str:
    for name, model in models.items():
        if model.provider != OFFLINE and missing(name, model) is None:
            return name
    return OFFLINE


def missing(name: str, model: ModelSettings) -> str | None:
    """What to set so that the model can be used. A compatible server may need no key."""
    if model.provider in VENDOR_KEYS and model.api_key is None:
        variable = model.api_key_env or VENDOR_KEYS[model.provider]
        return f"Model {name} has no API key: set {variable} or [{dotted(('models', name))}] api_key."
    if model.provider == "openai_compatible" and model.api_key_env and model.api_key is None:
        return f"Model {name} has no API key: set {model.api_key_env}, which its api_key_env names."
    return None


def model_specs(settings: Settings) -> tuple[ModelSpec, ...]:
    """The system's models, in the order of the configuration."""
    return tuple(model_spec(name, model) for name, model in settings.models.items())


def model_spec(name: str, model: ModelSettings) -> ModelSpec:
    key = model.api_key.reveal() if model.api_key else ""
    return ModelSpec(
        llm_id=ModelId(name),
        provider=Provider(model.provider),
        model=model.model or name,
        base_url=model.base_url,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        vision=model.vision,
        tools=model.tools,
        prices=prices(model.prices),
        fallbacks=tuple(map(ModelId, model.fallbacks)),
        unavailable_reason=missing(name, model),
        max_concurrent=model.max_concurrent,
        requests_a_minute=model.requests_a_minute,
        key_id=key_id_of(Provider(model.provider), model.base_url, key),
    )


def prices(given: PriceSettings | None) -> Prices | None:
    if given is None:
        return None
    return Prices(given.input, given.output, given.cached_input, given.currency)
