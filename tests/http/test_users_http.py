"""Accounts, logins and API keys over HTTP, as clients see them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from xml.etree import ElementTree

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

V1 = "/api/v1"
PASSWORD = "test"
_numbers = count(1)

Account = dict[str, str]


@pytest.fixture
def account() -> Account:
    """Of the test's own, and not registered yet."""
    return {"user_name": f"ann.{next(_numbers)}", "user_password": PASSWORD}


@pytest.fixture
def ann(register_exactly: Register, account: Account) -> Headers:
    return register_exactly(account["user_name"])


def log_in(client: Client, account: Account, **change: str) -> Any:
    return data_of(client.post(f"{V1}/user/login", json=account | change))


def bearer(tokens: dict[str, str]) -> Headers:
    return {"authorization": f"Bearer {tokens['access_token']}"}


def fields_of(response: Any) -> list[str]:
    return [one["name"] for one in response.json()["error"]["fields"]]


def test_the_reference_s_own_example_works(client: Client) -> None:
    account = {"user_name": "test", "user_email": "", "user_password": "test"}
    made = data_of(client.post(f"{V1}/user/register", json=account))
    answer = client.post(f"{V1}/user/login", json={"user_name": "test", "user_password": "test"})
    logged_in = data_of(answer)
    assert set(logged_in) == {"user_id", "user_name", "access_token", "refresh_token", "token_type", "expires_in"}
    assert (logged_in["user_id"], logged_in["user_name"]) == (made["user_id"], "test")
    assert (logged_in["token_type"], logged_in["expires_in"]) == ("Bearer", 1800)
    assert answer.headers["cache-control"] == "no-store"
    assert data_of(client.get(f"{V1}/user/info", headers=bearer(logged_in)))["user_name"] == "test"


def test_two_registrations_of_one_name_at_the_same_moment(client: Client, account: Account) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: client.post(f"{V1}/user/register", json=account), range(4)))
    assert sorted(one.status_code for one in answers) == [200, 409, 409, 409]
    refused = next(one for one in answers if one.status_code == 409)
    assert code_of(refused, 409) == "user_name_taken"
    assert fields_of(refused) == ["user_name"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_name": ""}, "user_name"),
        ({"user_name": "x" * 21}, "user_name"),
        ({"user_name": "x" * 10_000}, "user_name"),
        ({"user_name": "a\x00b"}, "user_name"),
        ({"user_name": 5}, "user_name"),
        ({"user_name": None}, "user_name"),
        ({"user_password": "abc"}, "user_password"),
        ({"user_password": ["test"]}, "user_password"),
        ({"user_email": "nonsense"}, "user_email"),
        ({"user_avatar": "javascript:1"}, "user_avatar"),
    ],
)
def test_a_bad_registration_names_its_field(
    client: Client, account: Account, change: dict[str, object], field: str
) -> None:
    answer = client.post(f"{V1}/user/register", json=account | change)
    assert code_of(answer, 422) == "invalid_value"
    assert fields_of(answer) == [field]


@pytest.mark.parametrize("name", ["x" * 20, "用户", "👩\u200d💻", "e\u0301ve", "שלום", "  ann  "])
def test_names_of_many_kinds_register_and_log_in(client: Client, account: Account, name: str) -> None:
    made = data_of(client.post(f"{V1}/user/register", json=account | {"user_name": name, "unknown": 1}))
    assert log_in(client, account, user_name=name.upper())["user_id"] == made["user_id"]


@pytest.mark.parametrize("missing", ["user_name", "user_password"])
def test_a_missing_field_is_named(client: Client, account: Account, missing: str) -> None:
    answer = client.post(f"{V1}/user/login", json={key: value for key, value in account.items() if key != missing})
    assert code_of(answer, 422) == "invalid_value"
    assert fields_of(answer) == [missing]


def test_wrong_name_and_wrong_password_get_the_same_answer(client: Client, ann: Headers, account: Account) -> None:
    wrong = [account | {"user_password": "wrong"}, account | {"user_name": "nobody"}, account | {"user_name": ""}]
    answers = [client.post(f"{V1}/user/login", json=one) for one in wrong]
    assert {code_of(one, 401) for one in answers} == {"login_failed"}
    assert len({one.json()["status_message"] for one in answers}) == 1


def test_guessing_is_slowed_down_and_says_for_how_long(client: Client, ann: Headers, account: Account) -> None:
    for _ in range(5):
        assert code_of(client.post(f"{V1}/user/login", json=account | {"user_password": "no"}), 401) == "login_failed"
    answer = client.post(f"{V1}/user/login", json=account)
    assert code_of(answer, 429) == "too_many_logins"
    assert answer.headers["retry-after"] == "1"


def test_a_profile_is_shown_changed_and_hidden_from_others(client: Client, ann: Headers, register: Register) -> None:
    bob = register("bob")
    own = data_of(client.get(f"{V1}/user/info", headers=ann))
    change = {"user_id": own["user_id"], "user_avatar": "/a.svg", "user_description": "hi", "user_email": "a@b.c"}
    changed = data_of(client.put(f"{V1}/user/update", json=change, headers=ann))
    assert changed == data_of(client.get(f"{V1}/user/info?user_id={own['user_id']}", headers=ann))
    assert (changed["user_avatar"], changed["user_description"], changed["user_email"]) == ("/a.svg", "hi", "a@b.c")
    seen = data_of(client.get(f"{V1}/user/info", params={"user_id": own["user_id"]}, headers=bob))
    assert {**seen, "user_email": "a@b.c"} == changed
    assert "user_email" not in seen
    assert code_of(client.put(f"{V1}/user/update", json=change, headers=bob), 403) == "not_your_profile"
    assert code_of(client.get(f"{V1}/user/info?user_id=nobody", headers=bob), 404) == "user_not_found"
    partly = data_of(client.put(f"{V1}/user/update", json={"user_id": own["user_id"], "user_email": ""}, headers=ann))
    assert (partly["user_email"], partly["user_description"]) == (None, "hi")


def test_preset_avatars_load_and_can_be_chosen(client: Client, ann: Headers) -> None:
    icons = data_of(client.get(f"{V1}/user/icons", headers=ann))
    assert len(icons) >= 4
    for url in icons:
        loaded = client.get(url)
        assert loaded.status_code == 200
        assert loaded.headers["content-type"].startswith("image/svg+xml")
        assert ElementTree.fromstring(loaded.text).tag.endswith("svg")
    assert data_of(client.put(f"{V1}/user/update", json={"user_avatar": icons[0]}, headers=ann))["user_avatar"]
    assert code_of(client.get(f"{V1}/user/icons/..%2F..%2Fapp.py"), 404) == "icon_not_found"


def test_refresh_tokens_rotate_and_reuse_ends_the_login(client: Client, ann: Headers, account: Account) -> None:
    first = log_in(client, account)
    second = data_of(client.post(f"{V1}/user/refresh", json={"refresh_token": first["refresh_token"]}))
    assert set(second) == {"access_token", "refresh_token", "token_type", "expires_in"}
    data_of(client.get(f"{V1}/user/info", headers=bearer(second)))
    again = client.post(f"{V1}/user/refresh", json={"refresh_token": first["refresh_token"]})
    assert code_of(again, 401) == "refresh_token_reused"
    revoked = client.post(f"{V1}/user/refresh", json={"refresh_token": second["refresh_token"]})
    assert code_of(revoked, 401) == "refresh_token_invalid"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"refresh_token": null}'])
def test_logging_out_needs_no_body(client: Client, ann: Headers, account: Account, body: bytes) -> None:
    tokens = log_in(client, account)
    answer = client.post(f"{V1}/user/logout", headers=bearer(tokens), content=body)
    assert data_of(answer) is None
    refused = client.post(f"{V1}/user/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert code_of(refused, 401) == "refresh_token_invalid"


def test_a_password_is_changed_with_the_old_one(client: Client, ann: Headers, account: Account) -> None:
    here, there = log_in(client, account), log_in(client, account)
    wrong = client.put(
        f"{V1}/user/password", json={"old_password": "no", "new_password": "better"}, headers=bearer(here)
    )
    assert code_of(wrong, 422) == "wrong_password"
    change = {"old_password": "test", "new_password": "better"}
    assert data_of(client.put(f"{V1}/user/password", json=change, headers=bearer(here))) is None
    assert client.post(f"{V1}/user/refresh", json={"refresh_token": there["refresh_token"]}).status_code == 401
    data_of(client.post(f"{V1}/user/refresh", json={"refresh_token": here["refresh_token"]}))
    log_in(client, account, user_password="better")


def test_deleting_the_account_needs_the_password_and_kills_its_tokens(
    client: Client, ann: Headers, account: Account
) -> None:
    assert code_of(client.request("DELETE", f"{V1}/user/delete", json={}, headers=ann), 422) == "invalid_value"
    wrong = client.request("DELETE", f"{V1}/user/delete", json={"user_password": "no"}, headers=ann)
    assert code_of(wrong, 422) == "wrong_password"
    right = client.request("DELETE", f"{V1}/user/delete", json={"user_password": "test"}, headers=ann)
    assert data_of(right) is None
    assert code_of(client.get(f"{V1}/user/info", headers=ann), 401) == "account_gone"
    assert code_of(client.get(f"{V1}/agent", headers=ann), 401) == "account_gone"
    assert code_of(client.post(f"{V1}/user/login", json=account), 401) == "login_failed"


def test_an_api_key_goes_wherever_an_access_token_goes(
    client: Client, ann: Headers, account: Account, register: Register
) -> None:
    bob = register("bob")
    soon = datetime.now(UTC) + timedelta(days=1)
    made = data_of(client.post(f"{V1}/api_key", json={"name": "laptop", "expires_at": soon.isoformat()}, headers=ann))
    assert made["api_key"].startswith("ak_")
    key = {"authorization": f"Bearer {made['api_key']}"}
    assert data_of(client.get(f"{V1}/user/info", headers=key))["user_name"] == account["user_name"]
    shown = data_of(client.get(f"{V1}/api_key", headers=key))
    assert shown == [data_of(client.get(f"{V1}/api_key/{made['api_key_id']}", headers=ann))]
    assert made["api_key"] not in str(shown)
    assert code_of(client.get(f"{V1}/api_key/{made['api_key_id']}", headers=bob), 404) == "api_key_not_found"
    gone = {"api_key_id": made["api_key_id"]}
    assert code_of(client.request("DELETE", f"{V1}/api_key", json=gone, headers=bob), 404) == "api_key_not_found"
    assert data_of(client.request("DELETE", f"{V1}/api_key", json=gone, headers=ann)) is None
    assert code_of(client.get(f"{V1}/user/info", headers=key), 401) == "api_key_invalid"


def test_a_login_that_was_ended_makes_no_api_key(client: Client, ann: Headers) -> None:
    data_of(client.post(f"{V1}/user/logout", headers=ann))
    assert code_of(client.post(f"{V1}/api_key", json={"name": "k"}, headers=ann), 401) == "session_ended"


def test_an_api_key_is_deleted_by_query_too_and_pages_have_cursors(client: Client, ann: Headers) -> None:
    ids = [data_of(client.post(f"{V1}/api_key", json={"name": f"k{n}"}, headers=ann))["api_key_id"] for n in range(3)]
    first = client.get(f"{V1}/api_key?limit=2", headers=ann).json()
    rest = client.get(f"{V1}/api_key", params={"limit": 2, "cursor": first["next_cursor"]}, headers=ann).json()
    assert [one["api_key_id"] for one in first["data"] + rest["data"]] == ids[::-1]
    assert "next_cursor" not in rest
    data_of(client.delete(f"{V1}/api_key", params={"api_key_id": ids[0]}, headers=ann))
    assert code_of(client.delete(f"{V1}/api_key", headers=ann), 422) == "invalid_value"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({}, "name"),
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "k", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "k", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "k", "expires_at": 5}, "expires_at"),
    ],
)
def test_a_bad_api_key_names_its_field(client: Client, ann: Headers, body: object, field: str) -> None:
    answer = client.post(f"{V1}/api_key", json=body, headers=ann)
    assert code_of(answer, 422) == "invalid_value"
    assert fields_of(answer) == [field]
