"""Attempts: each call of a model's provider, however it went. The ledger of usage is made of them."""

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Final

from domain.conversation.conversation import Usage
from domain.ids import ModelId
from domain.models.models import Prices, Provider

ANSWERED: Final = "answered"
INTERRUPTED: Final = "interrupted"
DEFECT: Final = "internal_error"
"""Outcomes beside the codes of ModelError: it came to its end, was stopped by our side, or by a defect."""

NANOS: Final = 1_000
"""A price is for a million tokens: so many billionths of the currency's unit for each token and unit of the price."""


class Purpose(StrEnum):
    """What a model was asked for: an answer to a person, or work of the server's own."""

    ANSWER = "answer"
    SUMMARY = "summary"
    MEMORY = "memory"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`at` is whole milliseconds since 1970, `first_token_ms` None when no word came.

    `cost_nanos` is in billionths of the currency's unit; None for a model without prices.
    """

    llm_id: ModelId
    provider: Provider
    model: str
    usage: Usage
    outcome: str
    at: int
    duration_ms: int
    first_token_ms: int | None = None
    cost_nanos: int | None = None
    currency: str = ""
    purpose: Purpose = Purpose.ANSWER


def broken_off(began: Attempt, prices: Prices | None, written: int, ended: int) -> Attempt:
    """What an attempt was whose end nobody was told: it wrote `written` tokens or so, until `ended`."""
    usage = began.usage + Usage(0, written, estimated=True)
    cost = cost_of(usage, prices)
    return replace(began, usage=usage, duration_ms=max(0, ended - began.at), cost_nanos=cost)


def cost_of(usage: Usage, prices: Prices | None) -> int | None:
    """In billionths of the currency's unit; None without prices. Cached tokens may have a price of their own.

    Of a price its decimals count, as they were written, and no more of them are cached than were read.
    """
    if prices is None:
        return None
    cached = min(usage.cached_tokens, usage.input_tokens)
    fresh = (usage.input_tokens - cached) * _written(prices.input)
    again = cached * _written(prices.input if prices.cached_input is None else prices.cached_input)
    return round((fresh + again + usage.output_tokens * _written(prices.output)) * NANOS)


def _written(price: float) -> Fraction:
    return Fraction(str(price))
