"""The offline model: deterministic, honest, in the language of the question."""

import asyncio
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.offline import OfflineChatModel
from adapters.offline.words import CHINESE
from application.chat.attachment_search import SearchAttachment
from application.tools.builtin_tools import builtin_tools
from domain.conversation.conversation import (
    AssistantTurn,
    FinishReason,
    Image,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    ToolTurn,
    Turn,
    UserTurn,
    tokens_of,
)
from domain.files.attachments import AttachedDocument, attached_text
from domain.files.documents import ParsedDocument
from domain.tools.calculator import evaluate
from domain.tools.tools import ToolCall, ToolResult
from unit.conversation_strategies import requests

TOOLS = tuple(tool.spec for tool in builtin_tools(None))  # type: ignore[arg-type]


def ask(*turns: Turn | str, system: str = "You are a helpful assistant.", tools: bool = True) -> list[ModelEvent]:
    said = tuple(UserTurn(turn) if isinstance(turn, str) else turn for turn in turns)
    return answer_to(ModelRequest("offline", system, said, TOOLS if tools else ()))


def answer_to(request: ModelRequest) -> list[ModelEvent]:
    async def act() -> list[ModelEvent]:
        return [event async for event in OfflineChatModel(delay_seconds=0).stream(request)]

    return asyncio.run(act())


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[ModelEvent]) -> list[tuple[str, dict[str, str]]]:
    return [(e.name, json.loads(e.arguments)) for e in events if isinstance(e, ToolCallDelta)]


@pytest.mark.parametrize("greeting", ["Hello", "hi!", "Good morning", "Hello there"])
def test_a_greeting_is_returned_and_says_what_this_is(greeting: str) -> None:
    assert "built-in offline model" in text_of(ask(greeting))


@pytest.mark.parametrize("greeting", ["你好", "您好！", "你好,世界"])
def test_a_chinese_greeting_is_returned_in_chinese(greeting: str) -> None:
    assert text_of(ask(greeting)).startswith("你好")
    assert "离线模型" in text_of(ask(greeting))


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is 2 + 3 * (4 - 1)?", "11"),
        ("compute (1.5+2)*2, please", "7"),
        ("12 × 12 = ?", "144"),
        ("3加5等于多少？", "8"),
        ("100 除以 8 是多少", "12.5"),
        ("how much is 7 times 6", "42"),
        ("(what is 2+2)", "4"),
        ("-3 + 10", "7"),
        ("2^10", "1024"),
    ],
)
def test_arithmetic_is_left_to_the_calculator(question: str, value: str) -> None:
    [(name, arguments)] = calls_of(ask(question))
    assert name == "calculator"
    assert evaluate(arguments["expression"]) == value


@pytest.mark.parametrize(
    ("question", "arguments"),
    [
        ("What time is it?", {}),
        ("what's the date today", {}),
        ("现在几点了？", {}),
        ("今天的日期", {}),
        ("北京时间", {"timezone": "Asia/Shanghai"}),
        ("What time is it in Tokyo?", {"timezone": "Asia/Tokyo"}),
        ("current time in America/Argentina/Buenos_Aires", {"timezone": "America/Argentina/Buenos_Aires"}),
    ],
)
def test_the_time_is_left_to_the_clock(question: str, arguments: dict[str, str]) -> None:
    assert calls_of(ask(question)) == [("current_time", arguments)]


@pytest.mark.parametrize("question", ["Is 2026-11-23 a holiday?", "Call 42", "版本 3.1.4 有什么新内容", "a-b"])
def test_not_every_number_is_a_sum(question: str) -> None:
    assert calls_of(ask(question)) == []


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    assert calls_of(ask("2+2", tools=False)) == []
    assert text_of(ask("2+2", tools=False))


def test_results_of_tools_are_the_answer() -> None:
    calls = (ToolCall("a", "calculator", '{"expression": "6*7"}'), ToolCall("b", "current_time", "{}"))
    results = (ToolResult("a", "calculator", "42"), ToolResult("b", "current_time", "no clock", is_error=True))
    events = ask("6*7, and the time?", AssistantTurn("", calls), ToolTurn(results))
    assert text_of(events) == "6*7 = 42\nThe tool current_time failed: no clock"


def test_a_passage_answers_and_is_marked_as_the_source() -> None:
    passages = "<passage>The warranty lasts 24 months. Batteries are excluded.</passage>"
    said = text_of(ask(f"{passages}\n\nHow long does the warranty last?"))
    assert "The warranty lasts 24 months." in said
    assert "Batteries" not in said
    assert "offline model" in said


def test_system_text_and_history_answer_too() -> None:
    assert "Ada" in text_of(ask("My name is Ada.", AssistantTurn("Hello."), "What is my name?"))
    assert "周三" in text_of(ask("食堂星期几休息？", system="食堂周三休息。图书馆全天开放。", tools=False))


@pytest.mark.parametrize(("question", "says"), [("Write a poem", "offline model"), ("写一首诗", "离线模型")])
def test_what_it_can_not_answer_it_says_so(question: str, says: str) -> None:
    assert says in text_of(ask(question))
    assert question in text_of(ask(question))


def test_an_image_is_admitted_not_to_be_seen() -> None:
    assert "can't see" in text_of(ask(UserTurn("", (Image("image/png", b"x"),))))


@settings(deadline=None)
@given(requests())
def test_any_request_gets_the_same_answer_twice_and_never_none(request_: ModelRequest) -> None:
    request_ = replace(request_, max_output_tokens=None)
    events = answer_to(request_)
    assert events == answer_to(request_)
    *said, last = events
    assert said
    assert isinstance(last, ModelFinished)
    assert last.reason is (FinishReason.TOOL_CALLS if calls_of(events) else FinishReason.STOP)
    assert last.usage is not None
    assert last.usage.estimated
    assert last.usage.output_tokens > 0


def test_words_come_one_by_one() -> None:
    assert len([event for event in ask("你好") if isinstance(event, TextDelta)]) > 30
    assert len([event for event in ask("hello") if isinstance(event, TextDelta)]) > 20


@settings(deadline=None)
@given(requests(), st.integers(1, 120))
def test_an_answer_is_the_longest_that_the_limit_allows(request_: ModelRequest, limit: int) -> None:
    whole = answer_to(replace(request_, max_output_tokens=None))
    events = answer_to(replace(request_, max_output_tokens=limit))
    last = events[-1]
    assert isinstance(last, ModelFinished)
    assert last.usage is not None
    assert last.usage.output_tokens <= limit
    if events == whole:
        return
    assert last.reason is FinishReason.LENGTH
    assert text_of(whole).startswith(text_of(events))
    assert calls_of(events) == calls_of(whole)[: len(calls_of(events))]
    if not calls_of(whole):
        assert last.usage.output_tokens == limit
        assert limit <= 4 or tokens_of(AssistantTurn(text_of(events))) == limit


@pytest.mark.parametrize("question", ["wait 0.05", " Wait  0.05\n", "等待 0.05 秒", "等待0.05秒"])
def test_it_is_silent_as_long_as_it_is_told_to_and_says_so(question: str) -> None:
    began = time.monotonic()
    said = text_of(ask(question))
    assert time.monotonic() - began >= 0.05
    assert "0.05" in said
    assert ("等待" in said) == ("等待" in question)


@pytest.mark.parametrize(
    "question",
    [
        "wait",
        "wait 0",
        "wait 121",
        "wait 120.5",
        "wait 9e1",
        "wait 5 s",
        "please wait 5",
        "等待 5",
        "wait 5秒",
        "wait 1\n2",
    ],
)
def test_anything_else_is_answered_at_once(question: str) -> None:
    began = time.monotonic()
    assert "离线模型" in text_of(ask(question)) or "offline model" in text_of(ask(question))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("question", ["count to {}", "Count to {} ", "数到 {}", "数到{}"])
@pytest.mark.parametrize("last", [1, 12, 3000])
def test_it_counts_one_by_one(question: str, last: int) -> None:
    events = ask(question.format(last))
    assert text_of(events) == " ".join(str(number) for number in range(1, last + 1))
    assert len(events) == last + 1
    assert isinstance(events[-1], ModelFinished)
    assert events[-1].reason is FinishReason.STOP


@pytest.mark.parametrize("question", ["count to 0", "count to 100001", "count to ten", "count to 5 and stop", "数到"])
def test_it_counts_nothing_else(question: str) -> None:
    assert "离线模型" in text_of(ask(question)) or "offline model" in text_of(ask(question))


def test_a_result_of_a_tool_sets_nothing_off() -> None:
    turn = AssistantTurn("", (ToolCall("a", "fetch", "{}"),))
    said = text_of(ask("count to 3", turn, ToolTurn((ToolResult("a", "fetch", "The town is old."),))))
    assert said != "1 2 3"


def with_document(text: str, question: str, budget: int = 10_000) -> str:
    shown = attached_text([AttachedDocument("report.pdf", ParsedDocument(text))], budget, searchable=True)
    return f"{shown.text}{question}"


def test_an_attached_document_is_quoted() -> None:
    said = text_of(ask(with_document("It was cold.\nThe turbine was built in 1987.", "When was the turbine built?")))
    assert "The turbine was built in 1987." in said
    assert "cold" not in said


def test_a_question_about_nothing_in_it_gets_the_beginning_of_the_document() -> None:
    said = text_of(ask(with_document("第一章讲的是风。\n第二章讲的是水。", "请总结一下")))
    assert said == f"{CHINESE.begins}\n\n第一章讲的是风。\n第二章讲的是水。"


def test_what_is_not_shown_of_a_document_is_searched() -> None:
    search = SearchAttachment(["report.pdf"], []).spec
    asked = UserTurn(with_document("word " * 1000, "When was the turbine built?", budget=200))
    assert calls_of(answer_to(ModelRequest("offline", "", (asked,), (search,)))) == [
        ("search_attachment", {"query": "When was the turbine built?"})
    ]
