"""What a model is told of calling tools, in each vendor's words; and when it may think beside that."""

from typing import Any

import pytest

from adapters.anthropic.translate import body_of as anthropic_body
from adapters.openai.translate import body_of as openai_body
from domain.conversation.conversation import AssistantTurn, ModelRequest, ReasoningBlock, ToolTurn, Turn, UserTurn
from domain.conversation.tool_choice import ChoiceKind, ToolChoice
from domain.ids import ToolId
from domain.tools.tools import ToolCall, ToolResult, ToolSpec

TOOL = ToolSpec(ToolId("f"), "f", "f", "", {"type": "object", "properties": {}})
ASKED = (UserTurn("x"),)
CALL = ToolCall("a", "f", "{}")
RESULT = ToolTurn((ToolResult("a", "f", "y"),))


def bodies(choice: ToolChoice, *tools: ToolSpec) -> tuple[Any, Any]:
    request = ModelRequest("m", "", ASKED, tools, tool_choice=choice)
    return (
        openai_body(request, compatible=False, with_usage=False).get("tool_choice"),
        anthropic_body(request, max_tokens=9).get("tool_choice"),
    )


@pytest.mark.parametrize(
    ("choice", "openai", "anthropic"),
    [
        (ToolChoice(), None, None),
        (ToolChoice(ChoiceKind.NONE), "none", {"type": "none"}),
        (ToolChoice(ChoiceKind.REQUIRED), "required", {"type": "any"}),
        (
            ToolChoice(ChoiceKind.NAMED, "f"),
            {"type": "function", "function": {"name": "f"}},
            {"type": "tool", "name": "f"},
        ),
    ],
)
def test_the_choice_has_each_vendor_s_words_and_none_without_tools(
    choice: ToolChoice, openai: Any, anthropic: Any
) -> None:
    assert bodies(choice, TOOL) == (openai, anthropic)
    assert bodies(choice) == (None, None)


def thinks(turns: tuple[Turn, ...], choice: ToolChoice = ToolChoice()) -> bool:
    request = ModelRequest("m", "", turns, (TOOL,), tool_choice=choice)
    return "thinking" in anthropic_body(request, max_tokens=9_000, thinking_tokens=2_000)


def test_a_model_thinks_unless_a_call_is_forced_or_its_thoughts_on_the_calls_under_way_are_lost() -> None:
    thought = AssistantTurn("", (CALL,), (ReasoningBlock("hm", "sig"),))
    lost = AssistantTurn("", (CALL,))
    assert thinks(ASKED)
    assert not thinks(ASKED, ToolChoice(ChoiceKind.REQUIRED))
    assert not thinks(ASKED, ToolChoice(ChoiceKind.NAMED, "f"))
    assert thinks((*ASKED, thought, RESULT))
    assert not thinks((*ASKED, lost, RESULT))
    assert thinks((*ASKED, lost, RESULT, AssistantTurn("done"), UserTurn("y")))
