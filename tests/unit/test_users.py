"""Names, e-mail addresses, passwords, profiles and API keys: the rules, whatever people send."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.accounts.users import (
    EMAIL_MAX,
    NAME_MAX,
    PASSWORD_MAX_BYTES,
    ApiKey,
    Role,
    User,
    UserName,
    parse_email,
    parse_new_password,
    parse_tried_password,
    parse_url,
)
from domain.errors import Forbidden, InvalidValue
from domain.ids import ApiKeyId, UserId

T = TypeVar("T")

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
ANN = User.new(UserId("ann"), UserName("ann"), "hash", NOW, email="ann@example.org")

anything = st.text(st.characters(codec=None), max_size=60)
names = st.text(min_size=1, max_size=NAME_MAX)


def outcome(parse: Callable[[], T]) -> T | InvalidValue:
    try:
        return parse()
    except InvalidValue as error:
        return error


def parsed(raw: str) -> UserName:
    """The name, or a case that hypothesis leaves out."""
    name = outcome(lambda: UserName.parse(raw))
    assume(isinstance(name, UserName))
    assert isinstance(name, UserName)
    return name


@given(anything)
def test_a_name_is_refused_or_fit_to_store_and_show(raw: str) -> None:
    name = outcome(lambda: UserName.parse(raw))
    if isinstance(name, InvalidValue):
        assert [problem.name for problem in name.fields] == ["user_name"]
        return
    assert 1 <= len(name.value) <= NAME_MAX
    assert name.value == unicodedata.normalize("NFC", name.value.strip())
    assert name.key.strip()
    name.value.encode()


@given(anything)
def test_parsing_a_parsed_name_changes_nothing(raw: str) -> None:
    name = parsed(raw)
    assert UserName.parse(name.value) == name


@given(names)
def test_spellings_of_one_name_have_one_key(raw: str) -> None:
    name = parsed(raw)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert UserName(unicodedata.normalize(form, name.value)).key == name.key
    assert UserName(name.value.casefold()).key == name.key
    assert UserName(f" {name.value}\u200b".strip()).key == name.key


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=NAME_MAX))
def test_upper_and_lower_case_are_one_name(raw: str) -> None:
    name = parsed(raw)
    assert UserName(name.value.upper()).key == UserName(name.value.lower()).key == name.key


@pytest.mark.parametrize(
    "raw",
    [
        "a",
        "a" * 20,
        "  ann  ",
        "用户一",
        "👩\u200d💻",
        "e\u0301" * 20,
        "שלום",
        "مرحبا",
        "é",
        "Zoë O'Neil",
        "0",
        "a b",
        "💥" * 20,
    ],
)
def test_names_of_many_kinds_are_taken(raw: str) -> None:
    assert UserName.parse(raw).value == unicodedata.normalize("NFC", raw.strip())


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " \t ",
        "a" * 21,
        "a" * 10_000,
        " " * 10_000,
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\ud800b",
        "\u200b",
        "\ufe0f\u200d",
        "ann\u202egpj",
        "a\u2028b",
        "a\u0085b",
        "💥" * 21,
    ],
)
def test_names_that_are_refused(raw: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        UserName.parse(raw)
    assert refused.value.fields[0].name == "user_name"
    assert len(refused.value.message) < 200


def test_a_name_that_only_looks_like_another_is_the_same_name() -> None:
    key = UserName.parse("Admin").key
    for twin in ("ADMIN", "ad\u200bmin", "Ａｄｍｉｎ", "admin\ufe0f", "\u2060admin"):
        assert UserName.parse(twin).key == key


@given(anything)
def test_an_email_is_none_refused_or_of_two_parts(raw: str) -> None:
    email = outcome(lambda: parse_email(raw))
    if isinstance(email, InvalidValue):
        assert email.fields[0].name == "user_email"
        return
    if email is None:
        assert not raw.strip()
        return
    local, domain = email.split("@")
    assert local
    assert domain
    assert len(email) <= EMAIL_MAX
    assert not any(char.isspace() for char in email)
    assert parse_email(email) == email


@given(st.emails())
def test_ordinary_emails_are_taken(email: str) -> None:
    assume(len(email) <= EMAIL_MAX and not set(email) & set('"(),:;<>[\\]'))
    assert parse_email(email) == unicodedata.normalize("NFC", email)


@pytest.mark.parametrize(
    "raw",
    ["a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b..c", ".a@b", "a@.b", "a@b.", "x" * 65 + "@b.c", "a@" + "b" * 300],
)
def test_emails_that_are_refused(raw: str) -> None:
    with pytest.raises(InvalidValue):
        parse_email(raw)


@given(anything, st.integers(1, 20))
def test_a_new_password_is_refused_or_has_its_length(raw: str, minimum: int) -> None:
    password = outcome(lambda: parse_new_password("user_password", raw, minimum=minimum))
    if isinstance(password, InvalidValue):
        assert password.fields[0].name == "user_password"
        return
    assert len(raw) >= minimum
    assert 0 < len(password.encode()) <= PASSWORD_MAX_BYTES


@given(anything)
def test_what_was_taken_as_new_is_the_same_when_tried(raw: str) -> None:
    password = outcome(lambda: parse_new_password("user_password", raw, minimum=1))
    assume(isinstance(password, str))
    for form in ("NFC", "NFD"):
        assert parse_tried_password(unicodedata.normalize(form, raw)) == password


@pytest.mark.parametrize("raw", ["a\x00b", "\ud800", "x" * 1025, "é" * 513, "\x00"])
def test_a_tried_password_that_nobody_can_have_matches_nothing_and_raises_nothing(raw: str) -> None:
    tried = parse_tried_password(raw)
    with pytest.raises(InvalidValue):
        parse_new_password("user_password", tried, minimum=0)


def test_a_password_of_1024_bytes_is_taken() -> None:
    assert parse_new_password("user_password", "é" * 512, minimum=4) == "é" * 512
    assert parse_new_password("user_password", "test", minimum=4) == "test"


@given(st.one_of(anything, st.from_regex(r"\A(javascript:|data:|//|/|https?://)[a-z/.]*\Z")))
def test_a_link_never_runs_a_script_or_leaves_the_server_unsaid(raw: str) -> None:
    try:
        url = parse_url("user_avatar", raw)
    except InvalidValue:
        return
    assert not url or url.startswith(("http://", "https://")) or (url[0] == "/" and url[1:2] not in {"/", "\\"})


def test_nobody_else_sees_the_email_address() -> None:
    assert ANN.seen_by(UserId("ann")).email == "ann@example.org"
    assert ANN.seen_by(UserId("bob")).email is None


def test_a_profile_is_edited_by_its_user_and_by_admins() -> None:
    ANN.may_edit(UserId("ann"))
    replace(ANN, role=Role.ADMIN).may_edit(UserId("bob"))
    with pytest.raises(Forbidden):
        ANN.may_edit(UserId("bob"))


def test_none_leaves_a_profile_field_and_the_empty_email_removes_it() -> None:
    later = NOW + timedelta(seconds=1)
    changed = ANN.with_profile(email=None, avatar="/a.svg", description="líne\nline", now=later)
    assert changed == replace(ANN, avatar="/a.svg", description="líne\nline", updated_at=later)
    assert changed.with_profile(email="", avatar=None, description=None, now=later).email is None


@given(st.text(max_size=80), st.integers(-(10**6), 10**6))
def test_an_api_key_has_a_name_and_expires_in_the_future_only(name: str, seconds: int) -> None:
    expires_at = NOW + timedelta(seconds=seconds)
    key = outcome(
        lambda: ApiKey.new(ApiKeyId("k"), UserId("ann"), name, NOW, key_hash="h", hint="last", expires_at=expires_at)
    )
    if isinstance(key, InvalidValue):
        assert key.fields[0].name in {"name", "expires_at"}
        return
    assert seconds > 0
    assert 1 <= len(key.name) <= 64


@pytest.mark.parametrize(
    "written", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59+00:00", "2500-01-01T00:00:00+00:00"]
)
def test_a_key_lives_a_hundred_years_at_most(written: str) -> None:
    with pytest.raises(InvalidValue):
        ApiKey.new(
            ApiKeyId("k"),
            UserId("u"),
            "laptop",
            NOW,
            key_hash="h",
            hint="abcd",
            expires_at=datetime.fromisoformat(written),
        )


@pytest.mark.parametrize("filler", ["\u115f", "\u1160", "\u3164", "\uffa0", "\u200b", "\u00ad", "\u2800"])
def test_a_name_with_something_invisible_in_it_is_the_same_name(filler: str) -> None:
    assert UserName.parse(f"al{filler}ice").key == UserName.parse("alice").key
