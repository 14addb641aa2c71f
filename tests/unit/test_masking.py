"""Secrets are masked in every form that servers write them in, of tools and of MCP servers alike."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mcp import masks
from adapters.openapi import secrets
from domain.tools.credentials import Credentials
from domain.tools.masking import A_FORM, MOST_WORK, Mask, forms_of
from domain.tools.mcp_servers import McpAddress, McpTransport

DOTS = "…"
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters=DOTS), min_size=4, max_size=12)


def written_by(characters: str, code: str) -> Callable[[str], str]:
    """JSON by a library that escapes these characters, too."""

    def form(text: str) -> str:
        escaped = [code % ord(one) if one in characters else json.dumps(one, ensure_ascii=False)[1:-1] for one in text]
        return "".join(escaped)

    return form


def in_small_codes(text: str) -> str:
    return re.sub("%..", lambda code: code[0].lower(), quote(text, ""))


FORMS: list[Callable[[str], str]] = [
    str,
    html.escape,
    quote,
    quote_plus,
    lambda text: quote(text, ""),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: json.dumps(json.dumps(text))[3:-3],
    lambda text: json.dumps(html.escape(text))[1:-1],
    in_small_codes,
    written_by("&<>", "\\u%04x"),
    written_by("&<>", "\\u%04X"),
    written_by("\"&'+<>`", "\\u%04X"),
]


@given(SECRETS, st.sampled_from(FORMS))
def test_a_secret_in_any_form_leaves_dots_alone(secret: str, form: Callable[[str], str]) -> None:
    assert set(Mask([secret], DOTS)(form(secret))) <= {DOTS}


KEY = 'a&b+ "c"/d'
HEADER = (("Authorization", f"Bearer {KEY}"),)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "mask",
    [
        secrets.mask_of(Credentials(headers=HEADER)),
        masks.mask_of(McpAddress(McpTransport.SSE, headers=HEADER)),
    ],
    ids=["tool", "mcp"],
)
def test_both_kinds_of_servers_are_masked_alike(mask: Mask, form: Callable[[str], str]) -> None:
    shown = mask(f"<{form(KEY)}>")
    assert set(shown) <= {"<", ">", "*", "•"}
    assert len(shown) > len("<>")


SIZES = st.lists(st.integers(4, 8_192), min_size=1, max_size=84, unique=True)


@given(SIZES)
@settings(max_examples=20)
def test_secrets_of_any_number_and_length_are_masked_with_bounded_work(sizes: list[int]) -> None:
    secrets = {("/+&\"'<>= \\" * 820)[:size] for size in sizes}
    forms = forms_of(secrets)
    assert forms >= secrets
    assert sum(len(form) + A_FORM for form in forms - secrets) <= MOST_WORK
    assert all(secret not in Mask(secrets, DOTS)(f"<{secret}>") for secret in secrets)


@pytest.mark.parametrize("form", FORMS)
def test_a_short_secret_is_known_in_every_form_beside_endless_ones(form: Callable[[str], str]) -> None:
    endless = [f"{number}{KEY}" * 600 for number in range(20)]
    assert Mask([*endless, KEY], DOTS)(form(KEY)) == DOTS


@given(st.text("abcdef", min_size=4, max_size=8), st.text("ghijkl", min_size=4, max_size=8))
def test_of_a_name_and_password_both_and_the_password_are_masked(name: str, password: str) -> None:
    value = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"
    for mask in (
        secrets.mask_of(Credentials(headers=(("Authorization", value),))),
        masks.mask_of(McpAddress(McpTransport.SSE, headers=(("Authorization", value),))),
    ):
        shown = mask(f"{value} {name}:{password} {password}")
        assert password not in shown
        assert value not in shown


@given(st.text("ab", max_size=30), st.integers(0, 40))
def test_the_beginning_is_that_of_what_is_masked_and_long_enough(before: str, most: int) -> None:
    mask = Mask(["secret"], DOTS)
    text = before + "secret" * 20_000
    shown = mask.beginning(text, most)
    assert mask(text).startswith(shown)
    assert mask.beginning(before, most) == before
