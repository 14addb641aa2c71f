"""The agents for clients of OpenAI: what they send is taken, what comes is as they know it, and errors are theirs."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import TooManyRequests, Unavailable
from domain.ids import UserId
from entrypoints.http.openai.endpoint import BodyPlaces
from http_answers import Client, Headers, Register, data_of

BASE = "/api/v1/openai"
CHAT = f"{BASE}/chat/completions"
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


@pytest.fixture(scope="module")
def shared_database_url(shared_sqlite_url: str) -> str:
    """What databases have to do with it is shown of the use case, on both."""
    return shared_sqlite_url


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def ask(client: Client, who: Headers, *messages: Any, headers: Headers | None = None, **body: Any) -> Any:
    given = {"model": "default", "messages": list(messages) or [user("1+1?")], **body}
    return client.post(CHAT, json=given, headers={**who, **(headers or {})})


def whole(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def chunks(response: Any) -> list[Any]:
    assert response.status_code == 200, response.text
    blocks = [block for block in response.text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks)
    assert blocks.pop() == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def error_of(response: Any, status: int) -> Any:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def dialogs(client: Client, who: Headers) -> list[str]:
    return [one["dialog_id"] for one in data_of(client.get("/api/v1/dialog/list", headers=who))]


def test_an_agent_answers_as_a_model_and_uses_its_tools_unseen(client: Client, ann: Headers) -> None:
    response = ask(client, ann, user("12*34"))
    answer = whole(response)
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "default"
    assert "system_fingerprint" not in answer
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert "408" in choice["message"]["content"]
    assert "tool_calls" not in choice["message"]
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert answer["citations"] == []
    assert answer["run_id"] == response.headers["x-run-id"]
    assert answer["dialog_id"] == response.headers["x-dialog-id"]
    question, stored = data_of(client.get(f"/api/v1/history?dialog_id={answer['dialog_id']}", headers=ann))
    assert (question["content"], stored["content"]) == ("12*34", choice["message"]["content"])
    assert stored["message_id"] == answer["message_id"]


def test_chunks_begin_with_the_role_and_end_with_reason_usage_and_done(client: Client, ann: Headers) -> None:
    response = ask(client, ann, user("12*34"), stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    first, *texts, last, usage = chunks(response)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {one["id"] for one in texts} == {first["id"]} == {f"chatcmpl-{response.headers['x-run-id']}"}
    assert "408" in "".join(one["choices"][0]["delta"]["content"] for one in texts)
    assert all(one["choices"][0]["finish_reason"] is None for one in [first, *texts])
    assert (last["choices"][0]["finish_reason"], last["choices"][0]["delta"]) == ("stop", {})
    assert last["citations"] == []
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0


def test_without_asking_for_it_there_is_no_usage_chunk(client: Client, ann: Headers) -> None:
    assert all("usage" not in one for one in chunks(ask(client, ann, stream=True)))


def test_each_agent_is_a_model_and_its_listed_id_works_as_it_is(client: Client, ann: Headers) -> None:
    for name in ("Ada", "a/b c", "数学 %2F", "agent/x", "Assistant", "default"):
        data_of(client.post("/api/v1/agent", json={"name": name}, headers=ann))
    listed = whole(client.get(f"{BASE}/models", headers=ann))
    assert listed["object"] == "list"
    assert listed["data"][0]["id"] == "default"
    assert len({one["id"] for one in listed["data"]}) == len(listed["data"]) == 7
    for one in listed["data"]:
        assert one["object"] == "model"
        assert isinstance(one["created"], int)
        answer = whole(ask(client, ann, user("1+1"), model=one["id"]))
        dialog = data_of(client.get(f"/api/v1/dialog/{answer['dialog_id']}", headers=ann))
        assert dialog["agent_id"] == one["agent_id"]
        shown = whole(client.get(f"{BASE}/models/{one['agent_id']}", headers=ann))
        assert shown["agent_id"] == one["agent_id"]
    for path in ("agent/Ada", "agent%2FAda", "agent/a%2Fb%20c", "agent/a/b%20c"):
        assert whole(client.get(f"{BASE}/models/{path}", headers=ann))["name"] in {"Ada", "a/b c"}


def test_another_s_agent_is_no_model(client: Client, ann: Headers, register: Register) -> None:
    theirs = data_of(client.post("/api/v1/agent", json={"name": "mine"}, headers=register("bob")))["agent_id"]
    for model in (theirs, "agent/mine", "mine", "gpt-4", "", "agent/", "x" * 10_000):
        error = error_of(ask(client, ann, model=model), 404)
        assert (error["code"], error["type"]) == ("model_not_found", "invalid_request_error")
    assert error_of(client.get(f"{BASE}/models/{theirs}", headers=ann), 404)["code"] == "model_not_found"


def test_a_turn_of_the_same_conversation_stays_in_its_dialog(client: Client, ann: Headers) -> None:
    said: list[Any] = [{"role": "system", "content": "It is noon."}, user("hi")]
    first = whole(ask(client, ann, *said))
    said += [first["choices"][0]["message"], user("2+2?")]
    said[0] = {"role": "system", "content": "It is one o'clock."}
    second = whole(ask(client, ann, *said))
    said += [{"role": "assistant", "content": f" {second['choices'][0]['message']['content']}\n"}, user("3+3?")]
    third = whole(ask(client, ann, *said, stream=False))
    assert second["dialog_id"] == third["dialog_id"] == first["dialog_id"]
    assert dialogs(client, ann) == [first["dialog_id"]]
    history = data_of(client.get(f"/api/v1/history?dialog_id={first['dialog_id']}", headers=ann))
    assert [one["content"] for one in history if one["role"] == "user"] == ["hi", "2+2?", "3+3?"]


def test_a_conversation_that_begins_alike_is_another_one(client: Client, ann: Headers) -> None:
    first, second = whole(ask(client, ann, user("hi"))), whole(ask(client, ann, user("hi")))
    assert first["dialog_id"] != second["dialog_id"]
    rewritten = whole(ask(client, ann, user("hi"), {"role": "assistant", "content": "No."}, user("why?")))
    assert rewritten["dialog_id"] not in {first["dialog_id"], second["dialog_id"]}


def test_nobody_s_conversation_goes_on_in_another_s_dialog(client: Client, ann: Headers, register: Register) -> None:
    first = whole(ask(client, ann, user("hi")))
    said = [user("hi"), first["choices"][0]["message"], user("2+2?")]
    assert whole(ask(client, register("bob"), *said))["dialog_id"] != first["dialog_id"]
    assert dialogs(client, ann) == [first["dialog_id"]]


def test_a_named_dialog_goes_on_with_its_own_history(client: Client, ann: Headers) -> None:
    named = {"X-Dialog-ID": "my-dialog"}
    data = {"user_input": "The code word is swordfish.", "dialog_id": "my-dialog"}
    assert client.post("/api/v1/chat", json=data, headers=ann).status_code == 200
    answer = whole(ask(client, ann, user("What is the code word?"), headers=named))
    assert answer["dialog_id"] == "my-dialog"
    assert "swordfish" in answer["choices"][0]["message"]["content"]
    assert error_of(ask(client, ann, headers={"X-Dialog-ID": "d" * 129}), 400)["param"] == "X-Dialog-ID"


def test_earlier_messages_and_instructions_reach_the_model(client: Client, ann: Headers) -> None:
    said = [user("The code word is swordfish."), {"role": "assistant", "content": "Noted."}]
    assert (
        "swordfish"
        in whole(ask(client, ann, *said, user("What is the code word?")))["choices"][0]["message"]["content"]
    )
    system = {"role": "developer", "content": "The code word is marlin."}
    assert (
        "marlin" in whole(ask(client, ann, system, user("What is the code word?")))["choices"][0]["message"]["content"]
    )


def test_a_key_asks_once(client: Client, ann: Headers) -> None:
    key = {"Idempotency-Key": "k-1"}
    first, again = (whole(ask(client, ann, user("hi"), headers=key)) for _ in range(2))
    assert first == again | {"created": first["created"]}
    assert len(dialogs(client, ann)) == 1
    error = error_of(ask(client, ann, user("else"), headers=key), 400)
    assert (error["code"], error["param"]) == ("idempotency_key_reused", "Idempotency-Key")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "god", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    ({"messages": [user("")]}, "messages[0]"),
    ({"messages": [user("a\x00b")]}, "messages[0].content"),
    ({"messages": [user("q"), {"role": "assistant", "content": "a"}]}, "messages[1]"),
    ({"messages": [user("q"), {"role": "tool", "tool_call_id": "c", "content": "r"}]}, "messages[1]"),
    ({"messages": [user("q"), {"role": "tool", "content": "r"}]}, "messages[1].tool_call_id"),
    ({"messages": [user("q")] * 10_001}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
    ({"store": "no"}, "store"),
    ({"n": 2}, "n"),
    ({"n": "2"}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"stop": ["x", ""]}, "stop"),
    ({"stop": "x" * 257}, "stop"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
    ({"response_format": {"type": "grammar"}}, "response_format"),
    ({"audio": {"voice": "x"}}, "audio"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"functions": [{}]}, "functions"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {"name": "not good"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}] * 2}, "tools"),
]


def test_what_can_t_be_honoured_is_refused_by_its_name_and_leaves_nothing(client: Client, ann: Headers) -> None:
    for body, param in REFUSED:
        error = error_of(ask(client, ann, **{"messages": [user("hi")], **body}), 400)
        assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert dialogs(client, ann) == []


words = st.sampled_from(
    ["", "hi", "user", "assistant", "tool", "system", "text", "image_url", "function", "f", "\ud83d"]
)
scalars = words | st.none() | st.booleans() | st.integers(-1, 3) | st.just(1e400) | st.just(10**30)
KEYS = (
    *("role", "content", "text", "type", "image_url", "url", "refusal"),
    *("tool_calls", "tool_call_id", "id", "function", "name", "arguments", "parameters"),
)
FIELDS = (
    *("stream", "stream_options", "tools", "tool_choice", "max_tokens"),
    *("n", "stop", "response_format", "modalities"),
)
keys, fields = st.sampled_from(KEYS), st.sampled_from(FIELDS)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
messages = st.dictionaries(keys, values, max_size=4).map(lambda one: {"role": "user", **one})


@settings(max_examples=50)
@given(st.lists(messages | values, max_size=3) | values, st.dictionaries(fields, values, max_size=3))
def test_no_body_is_a_mistake_of_ours(client: Client, ann: Headers, told: Any, more: dict[str, Any]) -> None:
    content = json.dumps({"model": "nobody", "messages": told, **more}).encode()
    response = client.post(CHAT, content=content, headers={**ann, "content-type": "application/json"})
    # What is read as a question is refused for its model, which is nobody's.
    error = error_of(response, 404 if response.status_code == 404 else 400)
    assert error["type"] == "invalid_request_error"


def test_what_only_tunes_sampling_is_taken_whatever_it_is(client: Client, ann: Headers) -> None:
    tuning = {
        "temperature": 0.3, "top_p": "high", "seed": 7, "presence_penalty": 1, "frequency_penalty": None,
        "logit_bias": {"5": 1}, "user": "u", "metadata": {}, "reasoning_effort": "low",
        "n": 1, "stop": None, "logprobs": False, "response_format": {"type": "text"}, "unheard_of": [1],
    }  # fmt: skip
    whole(ask(client, ann, **tuning))


def test_what_is_not_to_be_stored_leaves_its_usage_alone(client: Client, ann: Headers) -> None:
    for stream in (False, True):
        response = ask(client, ann, user("1+1?"), store=False, stream=stream)
        assert chunks(response) if stream else whole(response)
    assert dialogs(client, ann) == []
    assert [one["runs"] for one in data_of(client.get("/api/v1/usage", headers=ann))] == [2]
    error = error_of(ask(client, ann, store=False, headers={"X-Dialog-ID": "mine"}), 400)
    assert error["param"] == "store"
    whole(ask(client, ann, store=True))
    assert len(dialogs(client, ann)) == 1


def test_a_limit_ends_the_answer_with_length(client: Client, ann: Headers) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = whole(ask(client, ann, user("count to 1000"), **{name: 20}))
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] <= 20


def test_an_answer_ends_before_the_words_that_are_to_stop_it(client: Client, ann: Headers) -> None:
    whole_text = whole(ask(client, ann, user("count to 30")))["choices"][0]["message"]["content"]
    for stop in ("13", ["25", "13"]):
        answer = whole(ask(client, ann, user("count to 30"), stop=stop))
        (choice,) = answer["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == (whole_text.split("13")[0], "stop")
        streamed = chunks(ask(client, ann, user("count to 30"), stop=stop, stream=True))
        told = "".join(one["choices"][0]["delta"].get("content", "") for one in streamed)
        assert told == choice["message"]["content"]
        stored = data_of(client.get(f"/api/v1/history?dialog_id={answer['dialog_id']}", headers=ann))[-1]
        assert (stored["content"], stored["status"]) == (told, "complete")


def test_what_is_not_in_the_form_that_is_wanted_is_an_error_and_no_answer(client: Client, ann: Headers) -> None:
    for form in ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}):
        error = error_of(ask(client, ann, user("hi"), response_format=form), 502)
        assert (error["code"], error["type"]) == ("model_bad_response", "server_error")
        assert "JSON" in error["message"]
        streamed = ask(client, ann, user("hi"), response_format=form, stream=True)
        blocks = [block for block in streamed.text.split("\n\n") if block]
        assert json.loads(blocks[-1].removeprefix("data: "))["error"]["code"] == "model_bad_response"
        assert "[DONE]" not in streamed.text
    too_long = {"type": "json_schema", "json_schema": {"schema": {"title": "x" * 100_001}}}
    assert error_of(ask(client, ann, user("hi"), response_format=too_long), 413)["param"] == "response_format"


def test_images_are_refused_where_the_model_is_blind_and_addresses_are_never_fetched(
    client: Client, ann: Headers
) -> None:
    def seen(url: str) -> Any:
        part = {"type": "image_url", "image_url": {"url": url}}
        return ask(client, ann, {"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]})

    assert error_of(seen(PNG), 400)["code"] == "model_no_vision"
    for url in ("http://169.254.169.254/a.png", "https://example.org/a.png", "file:///etc/passwd", "data:,x", ""):
        assert error_of(seen(url), 400)["param"] == "messages[0].content[1].image_url.url"
    assert error_of(seen("data:image/png;base64,@@@"), 400)["param"] == "messages[0].content[1].image_url.url"
    assert dialogs(client, ann) == []


def test_errors_are_openai_s_on_these_paths_and_ours_elsewhere(client: Client, ann: Headers) -> None:
    missing = error_of(client.get(f"{BASE}/models"), 401)
    assert (missing["type"], missing["code"]) == ("authentication_error", "invalid_api_key")
    wrong = {"authorization": "Bearer sk-wrong"}
    assert error_of(client.post(CHAT, json={}, headers=wrong), 401)["code"] == "invalid_api_key"
    assert error_of(client.post(f"{BASE}/embeddings", json={}, headers=ann), 404)["code"] == "route_not_found"
    assert error_of(client.get(CHAT, headers=ann), 405)["type"] == "invalid_request_error"
    for content in (b"", b"not json", b"[1]", b'{"model":', b"\xff\xfe", b"[" * 100_000):
        response = client.post(CHAT, content=content, headers={**ann, "content-type": "application/json"})
        assert error_of(response, 400)["type"] == "invalid_request_error"
    text = client.post(CHAT, content=b"x", headers={**ann, "content-type": "text/plain"})
    assert error_of(text, 415)["code"] == "unsupported_media_type"
    assert "status_code" in client.get("/api/v1/openaix", headers=ann).json()


def test_what_is_too_large_is_413(client: Client, ann: Headers) -> None:
    error = error_of(ask(client, ann, user("x" * 100_001)), 413)
    assert (error["param"], error["code"]) == ("messages[0]", "too_large")
    system = {"role": "system", "content": "x" * 100_001}
    assert error_of(ask(client, ann, system, user("hi")), 413)["param"] == "messages"
    assert error_of(ask(client, ann, user("x" * 24_000_001)), 413)["code"] == "body_too_large"


def test_ten_thousand_messages_are_within_the_window(client: Client, ann: Headers) -> None:
    said = [user("q"), {"role": "assistant", "content": "a"}] * 4_999 + [user("The code word is marlin."), user("1+1?")]
    assert "2" in whole(ask(client, ann, *said))["choices"][0]["message"]["content"]


def test_large_bodies_are_held_a_few_at_once() -> None:
    places, ann_id, bob_id = BodyPlaces(3, 2), UserId("ann"), UserId("bob")
    with places.taken(ann_id), places.taken(ann_id):
        with pytest.raises(TooManyRequests), places.taken(ann_id):
            pass
        with places.taken(bob_id), pytest.raises(Unavailable), places.taken(bob_id):
            pass
        with places.taken(bob_id):
            pass
    with places.taken(ann_id), places.taken(ann_id):
        pass


def test_an_agent_without_a_key_fails_as_a_client_understands(client: Client, ann: Headers) -> None:
    data_of(client.post("/api/v1/agent", json={"name": "four", "llm_id": "gpt-4"}, headers=ann))
    error = error_of(ask(client, ann, model="agent/four"), 503)
    assert (error["type"], error["code"]) == ("server_error", "model_not_configured")
    streamed = ask(client, ann, model="agent/four", stream=True)
    assert streamed.status_code == 200
    blocks = [block for block in streamed.text.split("\n\n") if block]
    assert json.loads(blocks[-1].removeprefix("data: "))["error"]["code"] == "model_not_configured"
    assert "[DONE]" not in streamed.text


def test_a_run_that_waits_for_a_person_says_so_and_goes_on_by_their_word(client: Client, ann: Headers) -> None:
    body = {"name": "Careful", "tool_ids": ["calculator"], "require_approval": ["calculator"]}
    data_of(client.post("/api/v1/agent", json=body, headers=ann))
    answer = whole(ask(client, ann, user("12*34"), model="agent/Careful"))
    (waits,) = answer["waiting"]
    content = answer["choices"][0]["message"]["content"]
    assert waits["tool_name"] == "calculator"
    assert all(one in content for one in (answer["run_id"], waits["tool_call_id"], "12*34", "/api/v1/chat/approve"))
    assert (answer["choices"][0]["finish_reason"], answer["usage"]) == ("stop", None)
    said = {"run_id": answer["run_id"], "tool_call_id": waits["tool_call_id"], "approve": True}
    data_of(client.post("/api/v1/chat/approve", json=said, headers=ann))
    assert client.get(f"/api/v1/chat/{answer['run_id']}/events", headers=ann).status_code == 200
    history = data_of(client.get(f"/api/v1/history?dialog_id={answer['dialog_id']}", headers=ann))
    assert "408" in history[-1]["content"]
    streamed = chunks(ask(client, ann, user("12*34"), model="agent/Careful", stream=True))
    assert [one["tool_name"] for one in streamed[-1]["waiting"]] == ["calculator"]


def test_a_named_dialog_that_is_busy_is_a_conflict(client: Client, ann: Headers) -> None:
    body = {"name": "Careful", "tool_ids": ["calculator"], "require_approval": ["calculator"]}
    data_of(client.post("/api/v1/agent", json=body, headers=ann))
    named = {"X-Dialog-ID": "mine"}
    whole(ask(client, ann, user("12*34"), model="agent/Careful", headers=named))
    assert error_of(ask(client, ann, user("hi"), headers=named), 409)["code"] == "dialog_busy"


def test_an_api_key_is_a_key(client: Client, ann: Headers) -> None:
    key = data_of(client.post("/api/v1/api_key", json={"name": "chat window"}, headers=ann))["api_key"]
    whole(ask(client, {"authorization": f"Bearer {key}"}))
