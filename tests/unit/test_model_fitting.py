"""What another model is asked than the request was made for, and which ones are passed over."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.conversation.conversation import (
    AssistantTurn,
    Image,
    ModelRequest,
    ReasoningBlock,
    ToolImage,
    ToolTurn,
    UserTurn,
)
from domain.ids import ToolId
from domain.models.attempts import ANSWERED
from domain.models.models import ModelSpec
from domain.tools.tools import ToolCall, ToolResult, ToolSpec
from played_models import ASKED, Play, asked, providers, spec

TOOL = ToolSpec(ToolId("t"), "t", "T", "A tool.", {"type": "object"})
CALLED = (
    UserTurn("hi"),
    AssistantTurn("", (ToolCall("c", "t", "{}"),), (ReasoningBlock("hm", "signed by a"),)),
    ToolTurn((ToolResult("c", "t", "done"),)),
)


def taken_over(request: ModelRequest, other: ModelSpec) -> ModelRequest | None:
    """What the other model is asked when the first fails; None when it is passed over."""
    of = providers(spec("a", other.llm_id), other, a=[Play(0, "model_auth_failed")])
    asked(of, request)
    return of.asked[1][1] if len(of.asked) > 1 else None


def test_another_model_is_asked_by_its_own_name_and_given_nobodys_reasoning() -> None:
    request = replace(ASKED, turns=CALLED, tools=(TOOL,), max_output_tokens=999)
    own = taken_over(request, spec("b", max_output_tokens=77))
    assert own is not None
    assert (own.model, own.max_output_tokens, own.tools) == ("b", 77, (TOOL,))
    assert [turn.reasoning for turn in own.turns if isinstance(turn, AssistantTurn)] == [()]
    assert own.turns[2] == CALLED[2]


def test_images_go_to_models_that_see_alone() -> None:
    request = replace(ASKED, turns=(UserTurn("look", (Image("image/png", b"x"),)),))
    assert taken_over(request, spec("b")) is None
    assert taken_over(request, spec("b", vision=True)) is not None


def test_images_of_results_go_to_models_that_see_and_others_take_over_without_them() -> None:
    shown = replace(CALLED[2], images=(ToolImage("c", 1, Image("image/png", b"x")),))
    request = replace(ASKED, turns=(*CALLED[:2], shown), tools=(TOOL,))
    seeing, blind = taken_over(request, spec("b", vision=True)), taken_over(request, spec("b"))
    assert seeing is not None
    assert blind is not None
    assert (seeing.turns[-1], blind.turns[-1]) == (shown, CALLED[2])


def test_a_model_without_tools_is_offered_none_and_takes_over_no_calls() -> None:
    own = taken_over(replace(ASKED, tools=(TOOL,)), spec("b", tools=False))
    assert own is not None
    assert own.tools == ()
    assert taken_over(replace(ASKED, turns=CALLED, tools=(TOOL,)), spec("b", tools=False)) is None


@given(st.integers(0, 40), st.integers(1, 3000), st.integers(600, 20_000))
def test_a_smaller_window_gets_what_fits_or_is_passed_over(exchanges: int, length: int, window: int) -> None:
    past = [turn for number in range(exchanges) for turn in (UserTurn(f"q{number}"), AssistantTurn("x " * 200))]
    request = replace(ASKED, turns=(*past, UserTurn("word " * length)))
    own = taken_over(request, spec("b", context_window=window))
    if own is not None:
        assert own.turns[-1] == request.turns[-1]
        assert own.turns == request.turns[len(request.turns) - len(own.turns) :]
        assert isinstance(own.turns[0], UserTurn)


def test_what_is_too_long_goes_to_a_larger_window_alone() -> None:
    plays = [Play(0, "context_too_long")] * 2
    specs = spec("a", "b", "c"), spec("b"), spec("c", context_window=100_000)
    of = providers(*specs, a=list(plays))
    assert asked(of).outcomes[-1] == ("c", ANSWERED)
    of = providers(*specs[:2], a=list(plays))
    assert asked(of).code == "context_too_long"
