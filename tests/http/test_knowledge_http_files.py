"""Files of knowledge bases over HTTP: from the upload until they are found, and gone; on every database."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

FILES = "/api/v1/knowledge_file"
GIF = b"GIF89a" + bytes(40)
TEXT = "# Wind\n\nThe turbines stand at Blackwater.\n\n# 会议\n\n会议决定在上海建厂。\n".encode()
SECONDS = 30.0
VIEW = {
    "knowledge_file_id",
    "id",
    "knowledge_id",
    "file_id",
    "file_name",
    "file_size",
    "status",
    "stage",
    "progress",
    "error",
    "error_code",
    "chunks",
    "user_id",
    "create_time",
    "update_time",
}
Put = Callable[..., Any]


@pytest.fixture
def ann(register: Register) -> Headers:
    return register()


@pytest.fixture
def base(client: Client, ann: Headers) -> str:
    made = data_of(client.post("/api/v1/knowledge/create", json={"knowledge_name": "base"}, headers=ann))
    knowledge_id: str = made["knowledge_id"]
    return knowledge_id


def upload(client: Client, user: Headers, name: str = "notes.md", content: bytes = TEXT) -> str:
    url: str = data_of(client.post("/api/v1/upload", files={"file": (name, content)}, headers=user))
    return url


def put(client: Client, user: Headers, knowledge_id: str, file_url: str) -> Any:
    return client.post(f"{FILES}/create", json={"knowledge_id": knowledge_id, "file_url": file_url}, headers=user)


def status(client: Client, user: Headers, knowledge_file_id: str) -> Any:
    return client.get(f"{FILES}/status", params={"knowledge_file_id": knowledge_file_id}, headers=user)


def ended(client: Client, user: Headers, knowledge_file_id: str) -> Any:
    """The file when the work on it is done."""
    until = time.monotonic() + SECONDS
    while (file := data_of(status(client, user, knowledge_file_id)))["status"] == "process":
        assert time.monotonic() < until, file
        time.sleep(0.02)
    return file


def found(client: Client, user: Headers, knowledge_id: Any, query: str, **fields: Any) -> Any:
    body = {"knowledge_id": knowledge_id, "query": query, **fields}
    return client.post("/api/v1/knowledge/retrieval", json=body, headers=user)


def contents(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [one["content"] for one in response.json()["data"]]


def test_a_file_is_taken_at_once_and_found_later(client: Client, ann: Headers, base: str) -> None:
    url = upload(client, ann)
    added = data_of(put(client, ann, base, url))
    assert set(added) == VIEW
    assert added["knowledge_file_id"] == added["id"]
    assert (added["knowledge_id"], added["file_name"], added["file_size"]) == (base, "notes.md", len(TEXT))
    assert (added["status"], added["stage"], added["progress"], added["chunks"]) == ("process", "queued", 0, 0)
    assert (added["error"], added["error_code"]) == (None, None)
    done = ended(client, ann, added["id"])
    assert (done["status"], done["stage"], done["progress"], done["error"]) == ("success", "done", 1, None)
    assert done["chunks"] > 0
    assert data_of(client.get(f"{FILES}/{added['id']}", headers=ann)) == done
    assert data_of(put(client, ann, base, url)) == done
    assert data_of(client.get(f"{FILES}/select", params={"knowledge_id": base}, headers=ann)) == [done]
    shown = data_of(client.get(f"/api/v1/knowledge/{base}", headers=ann))
    assert (shown["count"], shown["file_size"]) == (1, len(TEXT))
    answer = found(client, ann, base, "Where do the turbines stand?").json()
    passage = answer["data"][0]
    assert "Blackwater" in passage["content"]
    assert (passage["knowledge_file_id"], passage["file_name"]) == (added["id"], "notes.md")
    assert TEXT.decode()[passage["start"] : passage["end"]] == passage["content"]
    assert 0 <= passage["score"] <= 1
    assert (answer["retrieval"], bool(answer["reason"])) == ("lexical", True)
    assert "上海" in contents(found(client, ann, [base], "在哪里建厂"))[0]
    assert isinstance(found(client, ann, base, "turbines", format="text").json()["data"], str)


def test_what_is_removed_is_not_found(client: Client, ann: Headers, base: str) -> None:
    first, second = (data_of(put(client, ann, base, upload(client, ann)))["id"] for _ in range(2))
    assert {ended(client, ann, one)["status"] for one in (first, second)} == {"success"}
    assert len(contents(found(client, ann, base, "turbines"))) == 2
    assert data_of(client.request("DELETE", f"{FILES}/delete", json={"knowledge_file_id": first}, headers=ann)) is None
    assert len(contents(found(client, ann, base, "turbines"))) == 1
    assert code_of(status(client, ann, first), 404) == "knowledge_file_not_found"
    gone = client.request("DELETE", f"{FILES}/delete?knowledge_file_id={first}", headers=ann)
    assert code_of(gone, 404) == "knowledge_file_not_found"
    data_of(client.request("DELETE", "/api/v1/knowledge/delete", json={"knowledge_id": base}, headers=ann))
    assert code_of(status(client, ann, second), 404) == "knowledge_file_not_found"
    assert code_of(found(client, ann, base, "turbines"), 404) == "knowledge_not_found"


def test_a_file_without_text_fails_and_says_why(client: Client, ann: Headers, base: str) -> None:
    added = data_of(put(client, ann, base, upload(client, ann, "blank.txt", b" \n" * 50)))
    failed = ended(client, ann, added["id"])
    assert (failed["status"], failed["error_code"], failed["chunks"]) == ("fail", "file_empty", 0)
    assert "has no text" in failed["error"]
    again = data_of(client.post(f"{FILES}/retry", json={"knowledge_file_id": added["id"]}, headers=ann))
    assert (again["status"], again["error"], again["chunks"]) == ("process", None, 0)
    assert ended(client, ann, added["id"])["error_code"] == "file_empty"


def test_a_file_that_is_found_can_be_begun_anew(client: Client, ann: Headers, base: str) -> None:
    added = data_of(put(client, ann, base, upload(client, ann)))
    done = ended(client, ann, added["id"])
    retried = data_of(client.post(f"{FILES}/retry", json={"knowledge_file_id": added["id"]}, headers=ann))
    assert (retried["status"], retried["progress"], retried["chunks"]) == ("process", 0, done["chunks"])
    assert ended(client, ann, added["id"])["status"] == "success"
    assert len(contents(found(client, ann, base, "turbines"))) == 1
    missing = client.post(f"{FILES}/retry", json={"knowledge_file_id": "gone"}, headers=ann)
    assert code_of(missing, 404) == "knowledge_file_not_found"


def test_only_one_s_own_documents_go_in(client: Client, ann: Headers, base: str, register: Register) -> None:
    bob = register()
    for address in ("", "http://example.com/a.pdf", "file:///etc/passwd", upload(client, bob), "\x00"):
        assert code_of(put(client, ann, base, address), 422) == "file_url_refused", address
    assert code_of(put(client, ann, base, upload(client, ann, "a.gif", GIF)), 422) == "file_no_text"
    url = upload(client, ann)
    for elsewhere in ("gone", data_of(client.get("/api/v1/files", headers=ann))[0]["id"]):
        assert code_of(put(client, ann, elsewhere, url), 404) == "knowledge_not_found"
    assert code_of(put(client, bob, base, upload(client, bob)), 404) == "knowledge_not_found"
    for body in ({}, {"knowledge_id": base}, {"file_url": url}, {"knowledge_id": base, "file_url": [url]}):
        assert code_of(client.post(f"{FILES}/create", json=body, headers=ann), 422) == "invalid_value"
    assert data_of(client.get(f"{FILES}/select", params={"knowledge_id": base}, headers=ann)) == []


def test_another_s_file_is_like_none(client: Client, ann: Headers, base: str, register: Register) -> None:
    bob = register()
    file_id = data_of(put(client, ann, base, upload(client, ann)))["id"]
    body = {"knowledge_file_id": file_id}
    answers = [
        status(client, bob, file_id),
        client.get(f"{FILES}/{file_id}", headers=bob),
        client.post(f"{FILES}/retry", json=body, headers=bob),
        client.request("DELETE", f"{FILES}/delete", json=body, headers=bob),
    ]
    assert {code_of(one, 404) for one in answers} == {"knowledge_file_not_found"}
    of_base = client.get(f"{FILES}/select", params={"knowledge_id": base}, headers=bob)
    assert code_of(of_base, 404) == "knowledge_not_found"
    assert code_of(found(client, bob, base, "turbines"), 404) == "knowledge_not_found"
    mine = data_of(client.post("/api/v1/knowledge/create", json={"name": "mine"}, headers=bob))["id"]
    assert code_of(found(client, bob, [mine, base], "turbines"), 404) == "knowledge_not_found"
    assert contents(found(client, bob, mine, "turbines")) == []
    assert ended(client, ann, file_id)["status"] == "success"


def test_files_are_listed_newest_first_in_pages_by_one_statement(
    client: Client, ann: Headers, base: str, statements: Any
) -> None:
    ids = [data_of(put(client, ann, base, upload(client, ann, f"{number}.txt")))["id"] for number in range(5)]
    for one in ids:
        ended(client, ann, one)
    query = {"knowledge_id": base}
    whole = data_of(client.get(f"{FILES}/select", params=query, headers=ann))
    assert [one["id"] for one in whole] == ids[::-1]
    first = client.get(f"{FILES}/select", params={**query, "limit": 2}, headers=ann)
    cursor = first.json()["next_cursor"]
    second = client.get(f"{FILES}/select", params={**query, "limit": 3, "cursor": cursor}, headers=ann)
    assert data_of(first) + data_of(second) == whole
    assert "next_cursor" not in second.json()
    statements.clear()
    data_of(status(client, ann, ids[0]))
    assert len([text for text in statements.texts if "knowledge_files" in text]) == 1
    assert code_of(client.get(f"{FILES}/select", headers=ann), 422) == "invalid_value"


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"query": ""}, 422, "invalid_value"),
    ({"query": " \n\u3000"}, 422, "invalid_value"),
    ({"query": "x" * 100_001}, 413, "too_large"),
    ({"top_k": 0}, 422, "invalid_value"),
    ({"top_k": 51}, 422, "invalid_value"),
    ({"top_k": 10**30}, 422, "invalid_value"),
    ({"min_score": -0.1}, 422, "invalid_value"),
    ({"min_score": 1.5}, 422, "invalid_value"),
    ({"knowledge_id": []}, 422, "invalid_value"),
    ({"knowledge_id": [f"k{number}" for number in range(200)]}, 422, "invalid_value"),
    ({"knowledge_id": "gone"}, 404, "knowledge_not_found"),
]


def test_a_question_that_can_not_be_asked_is_refused(client: Client, ann: Headers, base: str) -> None:
    for fields, status_code, code in REFUSED:
        body = {"query": "turbines", "knowledge_id": base, **fields}
        assert code_of(client.post("/api/v1/knowledge/retrieval", json=body, headers=ann), status_code) == code


def test_passages_are_fetched_together(client: Client, ann: Headers, base: str, statements: Any) -> None:
    for number in range(3):
        ended(client, ann, data_of(put(client, ann, base, upload(client, ann, f"{number}.md")))["id"])
    statements.clear()
    assert len(contents(found(client, ann, base, "turbines", top_k=50))) == 3
    assert len([text for text in statements.texts if "chunks.content" in text]) == 1


def test_any_text_can_be_asked(client: Client, ann: Headers, base: str) -> None:
    ended(client, ann, data_of(put(client, ann, base, upload(client, ann)))["id"])
    for query in ("😀", "'; DROP TABLE files; --", '" OR * NEAR(', "turbines" * 12_500, "%", "\\", "a\u0301", "NOT"):
        assert found(client, ann, base, query).status_code == 200, query
    assert len(contents(found(client, ann, base, "turbines", min_score=0.0, top_k=1))) == 1
    assert len(contents(found(client, ann, [base] * 300, "turbines"))) == 1


def test_a_base_is_measured_by_its_owner_s_questions(client: Client, ann: Headers, base: str) -> None:
    ended(client, ann, data_of(put(client, ann, base, upload(client, ann)))["id"])
    cases = [
        {"query": "turbines", "expected": "stand at Blackwater"},
        {"query": "在哪里建厂", "expected": ["notes.md"]},
        {"query": "turbines", "expected": "nothing of that"},
    ]
    body = {"knowledge_id": base, "cases": cases}
    answer = client.post("/api/v1/knowledge/evaluate", json=body, headers=ann)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert (data["cases"], data["k"], data["dense"]) == (3, 5, None)
    assert data["lexical"] == data["hybrid"]
    assert data["lexical"]["failed"] == [2]
    assert data["lexical"]["recall"] == pytest.approx(2 / 3)
    for wrong in ({"cases": []}, {"k": 0}, {"k": 51}, {"cases": [{"query": "", "expected": "a"}]}):
        refused = client.post("/api/v1/knowledge/evaluate", json=body | wrong, headers=ann)
        assert code_of(refused, 422) == "invalid_value"
    gone = client.post("/api/v1/knowledge/evaluate", json=body | {"knowledge_id": "gone"}, headers=ann)
    assert code_of(gone, 404) == "knowledge_not_found"
