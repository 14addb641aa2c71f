"""Models that agents may use. What stays of a model's key in this package is sealed, or a digest."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.ids import ModelId, UserId

_SALT: Final = os.urandom(32)
"""Of this process alone: what is made with it tells nobody else anything."""


class Provider(StrEnum):
    OFFLINE = "offline"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OPENAI_COMPATIBLE = "openai_compatible"


class ModelKind(StrEnum):
    LLM = "LLM"
    EMBEDDING = "Embedding"


@dataclass(frozen=True, slots=True)
class Prices:
    """Price of a million tokens, in `currency`."""

    input: float
    output: float
    cached_input: float | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model and what it can do. `model` is its name at the provider; `llm_id` is its name here."""

    llm_id: ModelId
    provider: Provider
    model: str
    base_url: str | None = None
    kind: ModelKind = ModelKind.LLM
    context_window: int = 8192
    """Tokens that a request and its answer may hold together."""
    max_output_tokens: int | None = None
    vision: bool = False
    tools: bool = True
    prices: Prices | None = None
    fallbacks: tuple[ModelId, ...] = ()
    unavailable_reason: str | None = None
    """What to set so that the model can be used; None when it can."""
    max_concurrent: int | None = None
    """Calls that go on at once, in each process; None without limit."""
    requests_a_minute: int | None = None
    """Calls that begin within a minute, in each process; None without limit."""
    owner: UserId | None = None
    """Whose own it is; None for the system's."""
    key_id: str = ""
    """Models of one `key_id` share a provider's key, and with it its limits and its troubles. No secret."""
    sealed_key: str | None = field(default=None, repr=False)
    """The key of a user's own model, as the database has it."""

    @property
    def available(self) -> bool:
        return self.unavailable_reason is None


def key_id_of(provider: Provider, base_url: str | None, key: str, owner: UserId | None = None) -> str:
    """Equal for all that asks one address with one key. Nobody's troubles or limits are another person's."""
    told = json.dumps([owner, provider, (base_url or "").rstrip("/"), key])
    return hashlib.blake2b(told.encode(), key=_SALT, digest_size=12).hexdigest()
