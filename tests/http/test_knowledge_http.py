"""Knowledge bases over HTTP, on every database."""

from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

BASES = "/api/v1/knowledge"
VIEW = {
    "knowledge_id",
    "id",
    "knowledge_name",
    "name",
    "knowledge_desc",
    "description",
    "count",
    "file_size",
    "embedding_model",
    "user_id",
    "create_time",
    "update_time",
}


@pytest.fixture
def ann(register: Register) -> Headers:
    return register()


def create(client: Client, user: Headers, **fields: Any) -> Any:
    return client.post(f"{BASES}/create", json=fields, headers=user)


def update(client: Client, user: Headers, **fields: Any) -> Any:
    return client.put(f"{BASES}/update", json=fields, headers=user)


def remove(client: Client, user: Headers, knowledge_id: str) -> Any:
    return client.request("DELETE", f"{BASES}/delete", json={"knowledge_id": knowledge_id}, headers=user)


def listed(client: Client, user: Headers, **query: Any) -> Any:
    return client.get(f"{BASES}/select", params=query, headers=user)


def test_a_base_is_made_as_the_reference_shows(client: Client, ann: Headers) -> None:
    made = data_of(create(client, ann, knowledge_name=" 知识库 ", knowledge_desc="说明\n第二行"))
    assert set(made) == VIEW
    assert made["knowledge_id"] == made["id"]
    assert made["knowledge_name"] == made["name"] == "知识库"
    assert made["knowledge_desc"] == made["description"] == "说明\n第二行"
    assert (made["count"], made["file_size"], made["embedding_model"]) == (0, 0, None)
    assert made["create_time"] == made["update_time"]
    assert data_of(listed(client, ann)) == [made]
    assert data_of(client.get(f"{BASES}/{made['id']}", headers=ann)) == made


def test_a_base_can_be_spoken_of_by_shorter_names(client: Client, ann: Headers) -> None:
    made = data_of(create(client, ann, name="a", description="b"))
    assert (made["knowledge_name"], made["knowledge_desc"]) == ("a", "b")
    changed = data_of(update(client, ann, knowledge_id=made["id"], name="c", description="d"))
    assert (changed["knowledge_name"], changed["knowledge_desc"]) == ("c", "d")
    both = data_of(create(client, ann, knowledge_name="first", name="second"))
    assert both["name"] == "first"


def test_only_what_is_said_is_changed(client: Client, ann: Headers) -> None:
    made = data_of(create(client, ann, knowledge_name="a", knowledge_desc="b"))
    changed = data_of(update(client, ann, knowledge_id=made["id"], knowledge_desc=""))
    assert changed == made | {"knowledge_desc": "", "description": "", "update_time": changed["update_time"]}
    renamed = data_of(update(client, ann, knowledge_id=made["id"], knowledge_name="A"))
    assert renamed["name"] == "A"
    same = data_of(update(client, ann, knowledge_id=made["id"], knowledge_name=None))
    assert same["name"] == "A"
    assert data_of(listed(client, ann)) == [same]


def test_a_name_is_needed_once_and_taken_once(client: Client, ann: Headers) -> None:
    made = data_of(create(client, ann, knowledge_name="Handbook"))
    assert code_of(create(client, ann, knowledge_name="handBOOK"), 409) == "knowledge_name_taken"
    other = data_of(create(client, ann, knowledge_name="other"))
    assert code_of(update(client, ann, knowledge_id=other["id"], name="HANDBOOK"), 409) == "knowledge_name_taken"
    data_of(remove(client, ann, made["id"]))
    data_of(create(client, ann, knowledge_name="handbook"))


NO_BASES: list[dict[str, Any]] = [
    {},
    {"knowledge_name": None},
    {"knowledge_name": ""},
    {"knowledge_name": "  "},
    {"knowledge_name": "a\nb"},
    {"knowledge_name": "a\x00b"},
    {"knowledge_name": "x" * 65},
    {"knowledge_name": 7},
    {"knowledge_name": "a", "knowledge_desc": "x" * 2001},
    {"knowledge_name": "a", "knowledge_desc": ["x"]},
]


def test_what_is_no_base_is_refused(client: Client, ann: Headers) -> None:
    for fields in NO_BASES:
        assert code_of(create(client, ann, **fields), 422) == "invalid_value", fields
    assert data_of(listed(client, ann)) == []


def test_a_removed_base_is_gone_and_can_not_be_removed_again(client: Client, ann: Headers) -> None:
    first, second = (data_of(create(client, ann, name=name))["id"] for name in ("a", "b"))
    assert data_of(remove(client, ann, first)) is None
    assert data_of(client.request("DELETE", f"{BASES}/delete?knowledge_id={second}", headers=ann)) is None
    assert data_of(listed(client, ann)) == []
    for gone in (first, second):
        assert code_of(client.get(f"{BASES}/{gone}", headers=ann), 404) == "knowledge_not_found"
        assert code_of(remove(client, ann, gone), 404) == "knowledge_not_found"
        assert code_of(update(client, ann, knowledge_id=gone, name="c"), 404) == "knowledge_not_found"
    assert code_of(client.request("DELETE", f"{BASES}/delete", headers=ann), 422) == "invalid_value"


def test_a_base_named_twice_is_removed_and_of_two_bases_none(client: Client, ann: Headers) -> None:
    first, second = (data_of(create(client, ann, name=name))["id"] for name in "ab")
    at, body = f"{BASES}/delete?knowledge_id=", {"knowledge_id": first}
    refused = client.request("DELETE", at + second, json=body, headers=ann)
    assert code_of(refused, 422) == "invalid_value"
    assert first in refused.text
    assert second in refused.text
    assert len(data_of(listed(client, ann))) == 2
    data_of(client.request("DELETE", at + first, json=body, headers=ann))
    assert [one["id"] for one in data_of(listed(client, ann))] == [second]


def test_another_s_base_is_like_none(client: Client, ann: Headers, register: Register) -> None:
    bob = register()
    base = data_of(create(client, ann, name="secret"))["id"]
    assert code_of(client.get(f"{BASES}/{base}", headers=bob), 404) == "knowledge_not_found"
    assert code_of(update(client, bob, knowledge_id=base, name="mine"), 404) == "knowledge_not_found"
    assert code_of(remove(client, bob, base), 404) == "knowledge_not_found"
    assert data_of(listed(client, bob)) == []
    assert "secret" not in create(client, bob, name="secret").text.replace('"secret"', "")
    assert [one["name"] for one in data_of(listed(client, ann))] == ["secret"]


def test_an_id_that_is_none_is_not_found(client: Client, ann: Headers) -> None:
    for base in ("gone", "x" * 129, "a%2Fb", "%00", "😀"):
        assert code_of(client.get(f"{BASES}/{base}", headers=ann), 404) == "knowledge_not_found"


def test_pages_together_are_the_list(client: Client, ann: Headers) -> None:
    for number in range(5):
        data_of(create(client, ann, name=f"base {number}"))
    whole = data_of(listed(client, ann))
    assert [one["name"] for one in whole] == [f"base {number}" for number in range(4, -1, -1)]
    first = listed(client, ann, limit=2)
    second = listed(client, ann, limit=3, cursor=first.json()["next_cursor"])
    assert data_of(first) + data_of(second) == whole
    assert "next_cursor" not in second.json()
    assert code_of(listed(client, ann, limit=201), 422) == "invalid_value"
    assert code_of(listed(client, ann, cursor="?"), 422) == "invalid_value"


def test_a_list_and_a_base_are_one_statement(client: Client, ann: Headers, statements: Any) -> None:
    base = data_of(create(client, ann, name="a"))["id"]
    for path in (f"{BASES}/select", f"{BASES}/{base}"):
        statements.clear()
        data_of(client.get(path, headers=ann))
        assert len(statements) == 1, (path, statements.texts)


def test_without_a_token_there_is_nothing(client: Client) -> None:
    for verb, path in [("POST", "create"), ("GET", "select"), ("PUT", "update"), ("DELETE", "delete"), ("GET", "x")]:
        assert code_of(client.request(verb, f"{BASES}/{path}"), 401) == "token_missing"


def test_bases_go_with_their_owner(client: Client, ann: Headers) -> None:
    base = data_of(create(client, ann, name="a"))["id"]
    account = {"user_password": "test"}
    data_of(client.request("DELETE", "/api/v1/user/delete", json=account, headers=ann))
    assert code_of(client.get(f"{BASES}/{base}", headers=ann), 401)
