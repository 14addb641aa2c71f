"""The messages of a dialog as a client sees them, on every database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from domain.chat.chat_events import ChatEvent, Recorded, Retrieved, ToolProgress
from domain.conversation.conversation import Usage
from domain.dialogs.messages import Answer, AnswerStatus, Citation, Feedback, Question, StepStatus, ToolStep
from domain.ids import AgentId, DialogId, MessageId, RunId
from domain.tools.tools import ToolType
from entrypoints.http.sse import frames
from entrypoints.http.v1.history import MessageView
from http_answers import Client, Headers, Register, code_of, data_of

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
STEP = ToolStep(StepStatus.END, "Calculator", "4", "call-1", "calculator", ToolType.TOOL, '{"x":1}', 12)
CITATION = Citation(1, "text", "a.pdf", "k1", "f1", None, 0, 4, 0.5)


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def ask(client: Client, user: Headers, question: str, dialog_id: str = "d1") -> None:
    response = client.post("/api/v1/chat", json={"dialog_id": dialog_id, "user_input": question}, headers=user)
    assert "event: done" in response.text, response.text


def history(client: Client, user: Headers, **query: Any) -> Any:
    return client.get("/api/v1/history", params={"dialog_id": "d1"} | query, headers=user)


def test_questions_and_answers_alternate_oldest_first(client: Client, ann: Headers) -> None:
    for number in range(3):
        ask(client, ann, f"question {number}")
    messages = data_of(history(client, ann))
    assert [one["role"] for one in messages] == ["user", "assistant"] * 3
    assert [one["content"] for one in messages[::2]] == [f"question {number}" for number in range(3)]
    assert [one["status"] for one in messages] == ["complete"] * 6
    for question, answer in zip(messages[::2], messages[1::2], strict=True):
        assert (question["model"], question["usage"], question["events"]) == (None, None, [])
        assert answer["model"] == "offline"
        assert answer["usage"]["output_tokens"] > 0
        assert answer["content"]
        assert question["create_time"] <= answer["create_time"]
        assert question["message_id"] == question["id"] != answer["id"]
        assert question["dialog_id"] == answer["dialog_id"] == "d1"
        assert question["attachments"] == answer["citations"] == []


def test_pages_together_are_the_history(client: Client, ann: Headers) -> None:
    for number in range(4):
        ask(client, ann, f"question {number}")
    whole = data_of(history(client, ann))
    for limit in (1, 3, 8):
        seen: list[Any] = []
        query: dict[str, Any] = {"limit": limit}
        while True:
            response = history(client, ann, **query)
            seen += data_of(response)
            if "next_cursor" not in response.json():
                break
            query["cursor"] = response.json()["next_cursor"]
        assert seen == whole


def test_the_last_word_on_a_message_counts(client: Client, ann: Headers, register: Register) -> None:
    ask(client, ann, "hi")
    answer = data_of(history(client, ann))[1]["message_id"]
    for path, feedback in (("like", "like"), ("down", "down"), ("like", "like")):
        assert data_of(client.post(f"/api/v1/message/{path}", json={"message_id": answer}, headers=ann)) is None
        assert data_of(history(client, ann))[1]["feedback"] == feedback
    stranger = register("bob")
    for message_id in (answer, "nothing"):
        refused = client.post("/api/v1/message/like", json={"message_id": message_id}, headers=stranger)
        assert code_of(refused, 404) == "message_not_found"
    assert data_of(history(client, ann))[1]["feedback"] == "like"


def test_each_message_has_an_address_of_its_own(client: Client, ann: Headers, register: Register) -> None:
    ask(client, ann, "hi")
    for message in data_of(history(client, ann)):
        address = f"/api/v1/message/{message['message_id']}"
        assert data_of(client.get(address, headers=ann)) == message
        assert code_of(client.get(address, headers=register()), 404) == "message_not_found"
    for message_id in ("nothing", "%00", "%2F", "x" * 129):
        assert code_of(client.get(f"/api/v1/message/{message_id}", headers=ann), 404) == "message_not_found"


def test_the_history_of_an_unknown_dialog_is_not_found(client: Client, ann: Headers) -> None:
    for dialog_id in ("nothing", "%", "\x00", "x" * 129, "😀"):
        response = client.get("/api/v1/history", params={"dialog_id": dialog_id}, headers=ann)
        assert code_of(response, 404) == "dialog_not_found"


def streamed(event: ChatEvent) -> Any:
    data = frames(RunId("r1"), [Recorded(1, 0, event)]).split(b"data: ")[1]
    return msgspec.json.decode(data)["data"]


def shown(message: Question | Answer) -> Any:
    return msgspec.to_builtins(MessageView.of(message, {}))


def test_an_answer_shows_all_that_the_stream_showed() -> None:
    answer = Answer(
        MessageId("m2"),
        DialogId("d1"),
        RunId("r1"),
        AnswerStatus.FAILED,
        NOW + timedelta(seconds=1),
        content="par",
        model="gpt-4",
        usage=Usage(3, 2, 1, estimated=True),
        steps=(STEP,),
        citations=(CITATION,),
        finish_reason="stop",
        failure="model_stream_cut",
        feedback=Feedback.DOWN,
        agent_id=AgentId("a1"),
        agent_version=7,
    )
    assert shown(answer) == {
        "message_id": "m2",
        "id": "m2",
        "dialog_id": "d1",
        "role": "assistant",
        "content": "par",
        "create_time": "2026-01-02T03:04:06.678Z",
        "status": "failed",
        "attachments": [],
        "events": [streamed(ToolProgress(STEP))],
        "citations": streamed(Retrieved("found", (CITATION,)))["citations"],
        "model": "gpt-4",
        "usage": {"input_tokens": 3, "output_tokens": 2, "cached_tokens": 1, "estimated": True},
        "run_id": "r1",
        "finish_reason": "stop",
        "error": "model_stream_cut",
        "feedback": "down",
        "agent_id": "a1",
        "agent_version": 7,
    }


def test_an_answer_that_is_being_written_says_so() -> None:
    running = Answer(MessageId("m2"), DialogId("d1"), RunId("r1"), AnswerStatus.RUNNING, NOW)
    assert shown(running)["status"] == "running"
    assert shown(running)["model"] is None


@pytest.mark.parametrize("step", [STEP, ToolStep(StepStatus.START, "t", "", "c", "n", ToolType.MCP)])
def test_a_step_is_the_same_in_the_stream_and_in_the_history(step: ToolStep) -> None:
    answer = Answer(MessageId("m"), DialogId("d"), RunId("r"), AnswerStatus.COMPLETE, NOW, steps=(step,))
    assert shown(answer)["events"] == [streamed(ToolProgress(step))]
