"""What makes a model of one's own, what is shown of its key, and where the key may go."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.security import FernetBox
from application.models.own_models import DraftedModels
from application.ports.secret_box import SecretBroken
from application.sealing import Seals
from domain.errors import InvalidValue
from domain.ids import ModelId, UserId
from domain.models.models import ModelKind, Prices, Provider, key_id_of
from domain.models.own_models import ELLIPSIS, KEY_MAX, LONG_KEY, ModelDraft, OwnModel, masked, model_key
from model_desk import KEY, MASKED, URL, draft, own_model
from stored import seconds
from tool_desk import SECRETS, Clock

OWNER = UserId("ann")
SEALS = Seals(FernetBox(SECRETS))
DRAFTED = DraftedModels(SEALS, Clock())
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
COMPATIBLE = {"provider": Provider.OPENAI_COMPATIBLE, "base_url": URL}
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["gpt-4", "other"]),
        "context_window": st.integers(1000, 10_000),
        "max_output_tokens": st.integers(1, 999),
        "vision": st.booleans(),
        "tools": st.booleans(),
        "prices": st.builds(Prices, st.floats(0, 100), st.floats(0, 100), st.none() | st.floats(0, 100)),
        "fallbacks": st.lists(st.sampled_from(["a", "b"]).map(ModelId), unique=True).map(tuple),
        "max_concurrent": st.integers(1, 5),
        "requests_a_minute": st.integers(1, 5),
    },
)


@given(KEYS)
def test_a_mask_shows_four_characters_of_a_long_key_and_none_of_a_short_one(key: str) -> None:
    shown = masked(key)
    assert ELLIPSIS in shown
    assert key not in shown
    if len(key) < LONG_KEY:
        assert shown == ELLIPSIS
    else:
        assert shown in (f"{ELLIPSIS}{key[-4:]}", f"sk-{ELLIPSIS}{key[-4:]}")
        assert key.startswith(shown.split(ELLIPSIS)[0])


@given(KEYS)
def test_a_mask_is_never_taken_for_a_key(key: str) -> None:
    assert model_key(f" {key} ") == key
    with pytest.raises(InvalidValue) as refused:
        model_key(masked(key))
    assert "masked" in refused.value.message
    assert not masked("")
    assert model_key("  ") == ""


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "\x00", "ключ", "x" * (KEY_MAX + 1), "a\tb", "\ud800"])
def test_a_key_that_can_t_be_sent_is_refused_and_never_repeated(bad: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        model_key(bad)
    assert bad not in refused.value.message
    assert refused.value.fields[0].name == "api_key"


@given(CHANGES, CHANGES)
def test_a_change_touches_only_what_it_names(first: dict[str, Any], second: dict[str, Any]) -> None:
    model = DRAFTED.made(OWNER, draft(**first))
    changed = DRAFTED.changed(model, ModelDraft(**second))
    for one in fields(OwnModel):
        if one.name != "updated_at":
            assert getattr(changed, one.name) == second.get(one.name, getattr(model, one.name))
    assert SEALS.key(changed) == KEY


@given(st.sets(st.sampled_from(["max_output_tokens", "prices", "max_concurrent", "requests_a_minute"])))
def test_limits_and_prices_can_be_taken_away(cleared: set[str]) -> None:
    all_set = {"max_output_tokens": 9, "prices": Prices(1, 2), "max_concurrent": 3, "requests_a_minute": 4}
    changed = own_model(OWNER, **all_set).change(ModelDraft(cleared=frozenset(cleared)), seconds(1))
    assert {name: getattr(changed, name) for name in all_set} == all_set | dict.fromkeys(cleared)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"model": " "}, "model"),
        ({"model": "x" * 129}, "model"),
        ({"provider": Provider.OFFLINE}, "provider"),
        ({"provider": None}, "provider"),
        ({"provider": Provider.OPENAI_COMPATIBLE}, "base_url"),
        ({"base_url": "ftp://example.org"}, "base_url"),
        ({"base_url": "https://user:pass@example.org/v1"}, "base_url"),
        ({"base_url": "https://example.org/v1?api-version=1"}, "base_url"),
        ({"base_url": "https://example.org/" + "x" * 2048}, "base_url"),
        ({"base_url": "https://example.org:99999/v1"}, "base_url"),
        ({"provider": Provider.ANTHROPIC, "kind": ModelKind.EMBEDDING}, "llm_type"),
        ({"context_window": 0}, "context_window"),
        ({"context_window": 1 << 60}, "context_window"),
        ({"max_output_tokens": 8192}, "max_output_tokens"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"requests_a_minute": -1}, "requests_a_minute"),
        ({"prices": Prices(float("nan"), 1)}, "prices.input"),
        ({"prices": Prices(1, float("inf"))}, "prices.output"),
        ({"prices": Prices(1, 1, -1)}, "prices.cached_input"),
        ({"prices": Prices(1, 1, None, "usd")}, "prices.currency"),
        ({"fallbacks": tuple(ModelId(str(number)) for number in range(9))}, "fallbacks"),
        ({"fallbacks": (ModelId(""),)}, "fallbacks"),
        ({"api_key": ""}, "api_key"),
    ],
)
def test_a_model_that_can_t_be_is_refused_by_the_name_of_its_field(said: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        DRAFTED.made(OWNER, draft(**said))
    assert refused.value.fields[0].name == named


def test_a_model_falls_not_back_on_itself_and_stays_what_it_is() -> None:
    model = own_model(OWNER)
    for said in ({"fallbacks": (model.llm_id,)}, {"kind": ModelKind.EMBEDDING}, {"provider": Provider.OFFLINE}):
        with pytest.raises(InvalidValue):
            model.change(ModelDraft(**said), seconds(1))
    assert model.change(ModelDraft(kind=ModelKind.LLM), seconds(1)).kind is ModelKind.LLM


def test_a_server_that_needs_no_key_gets_none() -> None:
    model = DRAFTED.made(OWNER, draft(**COMPATIBLE, api_key=""))
    assert (model.sealed_key, SEALS.key(model), SEALS.masked_key(model)) == ("", "", "")
    assert SEALS.key(DRAFTED.changed(model, ModelDraft(api_key=""))) == ""
    with pytest.raises(InvalidValue, match="required"):
        DRAFTED.changed(model, ModelDraft(provider=Provider.OPENAI))


@pytest.mark.parametrize("said", [None, MASKED, f" {MASKED} "])
def test_a_key_that_is_left_out_or_comes_as_it_is_shown_stays(said: str | None) -> None:
    model = DRAFTED.made(OWNER, draft())
    assert DRAFTED.changed(model, ModelDraft(api_key=said)).sealed_key == model.sealed_key


@pytest.mark.parametrize("said", ["sk-…ABCD", "…", ""])
def test_another_mask_or_an_empty_key_is_refused(said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        DRAFTED.changed(DRAFTED.made(OWNER, draft()), ModelDraft(api_key=said))
    assert refused.value.fields[0].name == "api_key"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"base_url": "https://other.example.org/v1"},
        {"base_url": "http://models.example.org/v1"},
        {"base_url": "https://models.example.org:8443/v1"},
        {"provider": Provider.OPENAI},
        {"provider": Provider.ANTHROPIC},
        {"provider": Provider.OPENAI, "cleared": frozenset({"base_url"})},
    ],
)
def test_a_key_goes_to_no_other_server_than_it_was_given_for(elsewhere: dict[str, Any]) -> None:
    model = DRAFTED.made(OWNER, draft(**COMPATIBLE))
    with pytest.raises(InvalidValue) as refused:
        DRAFTED.changed(model, ModelDraft(**elsewhere))
    assert refused.value.code == "auth_needed_again"
    again = DRAFTED.changed(model, ModelDraft(**elsewhere, api_key="sk-another-key-for-there"))
    assert SEALS.key(again) == "sk-another-key-for-there"


def test_on_the_same_server_the_path_may_change() -> None:
    model = DRAFTED.made(OWNER, draft(**COMPATIBLE))
    moved = DRAFTED.changed(model, ModelDraft(base_url="https://models.example.org/v2"))
    assert SEALS.key(moved) == KEY


def test_a_sealed_key_that_is_put_beside_another_address_opens_nothing() -> None:
    model = DRAFTED.made(OWNER, draft(**COMPATIBLE))
    tampered = replace(model, base_url="https://thief.example.org/v1")
    with pytest.raises(SecretBroken):
        SEALS.key(tampered)
    assert "send it again" in str(SEALS.model(tampered).unavailable_reason)


def test_a_lost_key_is_told_and_can_be_sent_again() -> None:
    model = DRAFTED.made(OWNER, draft())
    lost = Seals(FernetBox(("another-secret-that-is-long-enough-9876543210",)))
    assert lost.masked_key(model) == ELLIPSIS
    assert not lost.model(model).available
    now = DraftedModels(lost, Clock())
    assert now.changed(model, ModelDraft(api_key=ELLIPSIS, model="other")).sealed_key == model.sealed_key
    assert lost.model(now.changed(model, ModelDraft(api_key=KEY))).available


def test_the_key_is_in_no_form_of_a_model() -> None:
    model = DRAFTED.made(OWNER, draft())
    spec = SEALS.model(model)
    for shown in (
        repr(model),
        repr(spec),
        str(draft()),
        model.sealed_key,
        spec.key_id,
        repr(SEALS.with_key(model, KEY)),
    ):
        assert KEY not in shown
    assert model.sealed_key not in repr(model) + repr(spec)


ADDRESSES = st.sampled_from([None, URL, URL + "/", "https://b.example.org"])


@given(*[st.tuples(st.sampled_from(Provider), ADDRESSES, KEYS, st.sampled_from([None, "ann", "bob"]))] * 2)
def test_key_ids_are_equal_exactly_for_one_provider_address_key_and_person(first: Any, second: Any) -> None:
    def plain(one: Any) -> Any:
        return one[0], (one[1] or "").rstrip("/"), *one[2:]

    assert (key_id_of(*first) == key_id_of(*second)) is (plain(first) == plain(second))
    assert key_id_of(*first) == key_id_of(*first)
