"""Runs over HTTP: continued by the id of a frame, repeated under a key, bounded by the request."""

from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

CHAT = "/api/v1/chat"


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def ask(client: Client, user: Headers, key: str | None = None, **body: Any) -> Any:
    headers = user if key is None else user | {"Idempotency-Key": key}
    return client.post(CHAT, json={"user_input": "count to 5", "dialog_id": "d", **body}, headers=headers)


def events(client: Client, user: Headers, run_id: str, last: str | None = None, **query: str) -> Any:
    headers = user if last is None else user | {"Last-Event-ID": last}
    return client.get(f"{CHAT}/{run_id}/events", headers=headers, params=query)


def frames_of(body: str) -> list[str]:
    return [block for block in body.split("\n\n") if block and not block.startswith(":")]


def id_of(frame: str) -> str:
    return frame.split("\n", 1)[0].removeprefix("id: ")


def test_a_stream_goes_on_after_every_frame_of_it_by_header_and_by_query(client: Client, ann: Headers) -> None:
    response = ask(client, ann)
    frames, run_id = frames_of(response.text), response.headers["x-run-id"]
    for had, frame in enumerate(frames, 1):
        for resumed in (events(client, ann, run_id, id_of(frame)), events(client, ann, run_id, after=id_of(frame))):
            assert resumed.status_code == 200
            assert frames_of(resumed.text) == frames[had:]
    assert events(client, ann, run_id).text == response.text


def test_another_server_on_the_database_gives_the_same_stream(
    client: Client, another_server: Client, ann: Headers
) -> None:
    response = ask(client, ann)
    frames, run_id = frames_of(response.text), response.headers["x-run-id"]
    assert events(another_server, ann, run_id).text == response.text
    assert frames_of(events(another_server, ann, run_id, id_of(frames[1])).text) == frames[2:]
    shown = data_of(another_server.get(f"{CHAT}/{run_id}", headers=ann))
    assert (shown["status"], shown["last_event_id"]) == ("complete", id_of(frames[-1]))
    assert ask(another_server, ann, "key").text == ask(client, ann, "key").text


@pytest.mark.parametrize("last", ["x", "x:1", "{run}:-1", "{run}:x", "{run}:99", "{run}:9999999999", "{run}"])
def test_the_id_of_no_frame_of_the_run_is_refused(client: Client, ann: Headers, last: str) -> None:
    run_id = ask(client, ann).headers["x-run-id"]
    refused = events(client, ann, run_id, last.format(run=run_id))
    assert code_of(refused, 422) == "invalid_value"


def test_a_repeat_under_a_key_is_the_same_stream_and_no_second_question(client: Client, ann: Headers) -> None:
    first = ask(client, ann, "key-1")
    again = ask(client, ann, "key-1")
    assert (again.text, again.headers["x-run-id"]) == (first.text, first.headers["x-run-id"])
    history = data_of(client.get("/api/v1/history", params={"dialog_id": "d"}, headers=ann))
    assert len(history) == 2
    assert ask(client, ann, "key-2").headers["x-run-id"] != first.headers["x-run-id"]


@pytest.mark.parametrize(
    "changed", [{"user_input": "?"}, {"dialog_id": "e"}, {"background": True}, {"max_output_tokens": 5}]
)
def test_another_question_under_a_key_is_refused(client: Client, ann: Headers, changed: dict[str, Any]) -> None:
    ask(client, ann, "key")
    refused = ask(client, ann, "key", **changed)
    assert code_of(refused, 422) == "idempotency_key_reused"


def test_a_key_belongs_to_its_user(client: Client, ann: Headers, register: Register) -> None:
    first, other = ask(client, ann, "key"), ask(client, register("bob"), "key", user_input="count to 3")
    assert other.status_code == 200
    assert other.headers["x-run-id"] != first.headers["x-run-id"]


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "\x7f"])
def test_what_is_no_key_is_refused(client: Client, ann: Headers, key: str) -> None:
    refused = ask(client, ann, key)
    assert code_of(refused, 422) == "invalid_value"
    assert refused.json()["error"]["fields"][0]["name"] == "Idempotency-Key"


def test_a_limit_of_output_ends_the_answer_with_what_it_has(client: Client, ann: Headers) -> None:
    *_, done = frames_of(ask(client, ann, user_input="count to 100", max_output_tokens=20).text)
    assert '"finish_reason":"length"' in done
    assert '"status":"complete"' in done
    assert "100" not in done.split('"content":"')[1].split('"')[0]


@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", 10**12])
def test_what_is_no_limit_of_output_is_refused(client: Client, ann: Headers, limit: object) -> None:
    refused = ask(client, ann, max_output_tokens=limit)
    assert code_of(refused, 422) == "invalid_value"


def test_following_asks_the_database_as_often_however_long_the_log(
    client: Client, another_server: Client, ann: Headers, statements: Any
) -> None:
    counts = []
    for length in (3, 60):
        run_id = ask(client, ann, user_input=f"count to {length}").headers["x-run-id"]
        statements.clear()
        assert events(another_server, ann, run_id).status_code == 200
        counts.append(len(statements))
    assert 1 <= counts[1] <= counts[0] + 1


def test_a_run_goes_with_its_dialog(client: Client, ann: Headers) -> None:
    run_id = ask(client, ann).headers["x-run-id"]
    assert client.request("DELETE", "/api/v1/dialog", json={"dialog_id": "d"}, headers=ann).status_code == 200
    assert code_of(events(client, ann, run_id), 404) == "run_not_found"
    assert code_of(client.get(f"{CHAT}/{run_id}", headers=ann), 404) == "run_not_found"


@pytest.mark.parametrize("run_id", ["%00", "a%00", "a%20b", "%F0%9F%8E%89", "a:1"])
def test_what_is_no_id_of_a_run_is_not_found(client: Client, ann: Headers, run_id: str) -> None:
    assert code_of(client.get(f"{CHAT}/{run_id}", headers=ann), 404) == "run_not_found"
    assert code_of(events(client, ann, run_id), 404) == "run_not_found"
