"""Models that people bring: where each is reached, with whose key, and what it can do."""

import math
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from domain.errors import InvalidValue
from domain.ids import ModelId, UserId
from domain.models.models import ModelKind, ModelSpec, Prices, Provider
from domain.text import line
from domain.tools.web_addresses import Origin, http_address, origin_of

MODELS_MAX: Final = 100
NAME_MAX: Final = 128
KEY_MAX: Final = 1024
FALLBACKS_MAX: Final = 8
TOKENS_MAX: Final = 100_000_000
COUNT_MAX: Final = 1_000_000
PRICE_MAX: Final = 1_000_000
LONG_KEY: Final = 16
"""Characters. Of a shorter key the last four would be too much."""
TOLD_KEY: Final = 8
"""Characters. A shorter key is a word like others: it is nobody's secret, and stands in sentences of ours."""
ELLIPSIS: Final = "…"
"""In every masked key, and in no key: those are ASCII."""

_KEY: Final = re.compile(r"[\x21-\x7e]+")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_EXAMPLE: Final = "https://models.example.org/v1"
_CHANGEABLE: Final = (
    "model",
    "provider",
    "base_url",
    "kind",
    "context_window",
    "max_output_tokens",
    "vision",
    "tools",
    "prices",
    "fallbacks",
    "max_concurrent",
    "requests_a_minute",
)


Place = tuple[Provider, Origin | None]


def place_of(provider: Provider, base_url: str | None) -> Place:
    return provider, origin_of(base_url) if base_url else None


def masked(key: str) -> str:
    """What is shown of a key: "sk-…1234", nothing of a short one. Sent back, it stands for the key that is stored."""
    if len(key) < LONG_KEY:
        return ELLIPSIS if key else ""
    return f"{'sk-' if key.startswith('sk-') else ''}{ELLIPSIS}{key[-4:]}"


def without_key(text: str, key: str) -> str:
    """Servers repeat what they were sent."""
    return text.replace(key, ELLIPSIS) if len(key) >= TOLD_KEY else text


def model_key(raw: str) -> str:
    """What is refused is never repeated: it is a secret."""
    key = raw.strip()
    if len(key) > KEY_MAX or not (key == "" or _KEY.fullmatch(key)):
        if ELLIPSIS in key:
            raise InvalidValue("api_key", "is shown masked: send the key itself, or none to keep the stored one")
        raise InvalidValue("api_key", f"must be at most {KEY_MAX} visible ASCII characters without spaces")
    return key


@dataclass(frozen=True, slots=True)
class ModelDraft:
    """What a person says of a model, unchecked. None leaves a field as it is; those in `cleared` become empty."""

    model: str | None = None
    provider: Provider | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    kind: ModelKind | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    prices: Prices | None = None
    fallbacks: tuple[ModelId, ...] | None = None
    max_concurrent: int | None = None
    requests_a_minute: int | None = None
    cleared: frozenset[str] = frozenset()
    """Of `base_url`, `max_output_tokens`, `prices`, `max_concurrent` and `requests_a_minute`."""


@dataclass(frozen=True, slots=True)
class OwnModel:
    """`sealed_key` is "" for a model without a key."""

    llm_id: ModelId
    user_id: UserId
    model: str
    provider: Provider
    created_at: datetime
    updated_at: datetime
    base_url: str | None = None
    kind: ModelKind = ModelKind.LLM
    context_window: int = 8192
    max_output_tokens: int | None = None
    vision: bool = False
    tools: bool = True
    prices: Prices | None = None
    fallbacks: tuple[ModelId, ...] = ()
    max_concurrent: int | None = None
    requests_a_minute: int | None = None
    sealed_key: str = field(default="", repr=False)

    @classmethod
    def create(cls, llm_id: ModelId, owner: UserId, draft: ModelDraft, now: datetime) -> "OwnModel":
        """Without its key, which must be sealed. Raises InvalidValue."""
        if draft.provider is None or draft.provider is Provider.OFFLINE:
            raise InvalidValue("provider", "must be openai, anthropic or openai_compatible")
        kind = draft.kind or ModelKind.LLM
        return cls(llm_id, owner, "", draft.provider, now, now, kind=kind).change(
            replace(draft, model=draft.model or ""), now
        )

    def change(self, draft: ModelDraft, now: datetime) -> "OwnModel":
        """All but the key. Raises InvalidValue."""
        said = {name: getattr(draft, name) for name in _CHANGEABLE if getattr(draft, name) is not None}
        said |= dict.fromkeys(draft.cleared)
        return replace(self, **said, updated_at=now)._cleaned(self.kind)

    @property
    def needs_key(self) -> bool:
        return self.provider is not Provider.OPENAI_COMPATIBLE

    @property
    def place(self) -> Place:
        """Where its key is sent: a key that was given for one place goes to no other."""
        return place_of(self.provider, self.base_url)

    def spec(self, key_id: str, unavailable_reason: str | None) -> ModelSpec:
        return ModelSpec(
            self.llm_id,
            self.provider,
            self.model,
            self.base_url,
            self.kind,
            self.context_window,
            self.max_output_tokens,
            self.vision,
            self.tools,
            self.prices,
            self.fallbacks,
            unavailable_reason,
            self.max_concurrent,
            self.requests_a_minute,
            owner=self.user_id,
            key_id=key_id,
            sealed_key=self.sealed_key,
        )

    def _cleaned(self, kind: ModelKind) -> "OwnModel":
        if self.kind is not kind:
            raise InvalidValue("llm_type", f"can't be changed from {kind.value}: make another model")
        if self.provider is Provider.OFFLINE:
            raise InvalidValue("provider", "must be openai, anthropic or openai_compatible")
        if self.kind is ModelKind.EMBEDDING and self.provider is Provider.ANTHROPIC:
            raise InvalidValue("llm_type", "can't be Embedding: anthropic has no such models")
        _whole("context_window", self.context_window, TOKENS_MAX)
        if self.max_output_tokens is not None:
            _whole("max_output_tokens", self.max_output_tokens, TOKENS_MAX)
            if self.max_output_tokens >= self.context_window:
                raise InvalidValue("max_output_tokens", f"must be below the context_window, {self.context_window}")
        for name in ("max_concurrent", "requests_a_minute"):
            if (count := getattr(self, name)) is not None:
                _whole(name, count, COUNT_MAX)
        return replace(
            self,
            model=line("model", self.model, minimum=1, maximum=NAME_MAX),
            base_url=_base_url(self.provider, self.base_url),
            prices=None if self.prices is None else _prices(self.prices),
            fallbacks=_fallbacks(self.llm_id, self.fallbacks),
        )


def _base_url(provider: Provider, raw: str | None) -> str | None:
    if not raw or not raw.strip():
        if provider is Provider.OPENAI_COMPATIBLE:
            raise InvalidValue("base_url", f"is required for openai_compatible, such as {_EXAMPLE}")
        return None
    url = http_address("base_url", raw, _EXAMPLE)
    if "?" in url:
        raise InvalidValue("base_url", f"must be without a query, such as {_EXAMPLE}")
    return url


def _prices(said: Prices) -> Prices:
    for name in ("input", "output", "cached_input"):
        price = getattr(said, name)
        if price is not None and not (math.isfinite(price) and 0 <= price <= PRICE_MAX):
            raise InvalidValue(f"prices.{name}", f"must be 0 to {PRICE_MAX}, for a million tokens")
    if not _CURRENCY.fullmatch(said.currency):
        raise InvalidValue("prices.currency", "must be three capital letters such as USD")
    return said


def _fallbacks(llm_id: ModelId, said: tuple[ModelId, ...]) -> tuple[ModelId, ...]:
    if len(said) > FALLBACKS_MAX:
        raise InvalidValue("fallbacks", f"must be at most {FALLBACKS_MAX}")
    if llm_id in said:
        raise InvalidValue("fallbacks", "must not name the model itself")
    return tuple(dict.fromkeys(ModelId(line("fallbacks", one, minimum=1, maximum=NAME_MAX)) for one in said))


def _whole(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidValue(name, f"must be 1 to {most}")
