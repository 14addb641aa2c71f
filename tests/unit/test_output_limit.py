"""The output limit of a run: told to the provider, kept over all turns, enforced where the provider does not listen."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.offline import OfflineChatModel
from adapters.scripted import ScriptedChatModel, call, call_piece, delta, finished, think
from adapters.scripted.steps import Step
from agent_loops import loop
from application.chat.agent_loop import Equipment
from application.ports.chat_model import ChatModel
from application.ports.tool_runner import ToolOutput, ToolRunner
from domain.chat.chat_events import AnswerDelta, AttemptEnded, LoopEvent, RoundFinished, ToolProgress, TurnFinished
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    Usage,
    UserTurn,
)
from domain.ids import ToolId
from domain.tokens import estimate
from domain.tools.tools import JsonValue, ToolSpec
from model_asking import alone

ASKED = ModelRequest("m", "be brief", (UserTurn("hi"),))


class Echo:
    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(ToolId("echo"), "echo", "Echo", "Echoes.", {"type": "object"})

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return ToolOutput(str(arguments.get("text")))


def run(model: ChatModel, limit: int | None, request: ModelRequest = ASKED, turns: int = 9) -> list[LoopEvent]:
    tools: dict[str, ToolRunner] = {"echo": Echo()}

    async def act() -> list[LoopEvent]:
        models = alone(model, output_left=limit)
        return [event async for event in loop(turns).run(models, request, Equipment(tools))]

    return asyncio.run(act())


def ends(events: Sequence[LoopEvent]) -> list[tuple[FinishReason, int]]:
    turns = [event for event in events if isinstance(event, TurnFinished)]
    attempts = [event.attempt for event in events if isinstance(event, AttemptEnded)]
    return [(turn.reason, one.usage.output_tokens) for turn, one in zip(turns, attempts, strict=True)]


def used(tokens: int, reason: FinishReason | None = None) -> ModelFinished:
    return finished(reason, Usage(10, tokens))


@pytest.mark.parametrize(("own", "first", "second"), [(None, 100, 70), (80, 80, 70), (20, 20, 20), (500, 100, 70)])
def test_each_turn_may_write_what_is_left_and_what_the_model_allows(own: int | None, first: int, second: int) -> None:
    model = ScriptedChatModel(turns=[[call("echo", text="x"), used(30)], [delta("done"), used(5)]])
    events = run(model, 100, replace(ASKED, max_output_tokens=own))
    assert [one.max_output_tokens for one in model.requests] == [first, second]
    assert [one.output_left for one in model.requests] == [100, 70]
    assert ends(events) == [(FinishReason.TOOL_CALLS, 30), (FinishReason.STOP, 5)]


def test_without_a_limit_the_request_is_as_it_was() -> None:
    model = ScriptedChatModel([delta("x" * 10_000), finished()])
    run(model, None, ASKED)
    assert model.requests == [ASKED]


@pytest.mark.parametrize("spent", [50, 51, 9999])
def test_a_run_that_has_nothing_left_makes_no_calls_and_ends_for_length(spent: int) -> None:
    model = ScriptedChatModel(turns=[[delta("Let me see. "), call("echo", text="x"), used(spent)]])
    events = run(model, 50)
    assert not [event for event in events if isinstance(event, ToolProgress | RoundFinished)]
    assert ends(events) == [(FinishReason.LENGTH, spent)]


def test_calls_of_an_answer_that_the_provider_cut_at_our_limit_are_not_made_whatever_it_counted() -> None:
    cut = call_piece(0, call_id="c", name="echo", arguments='{"text": "x')
    model = ScriptedChatModel(turns=[[cut, used(3, FinishReason.LENGTH)]])
    assert ends(run(model, 50)) == [(FinishReason.LENGTH, 3)]


def test_an_answer_that_uses_everything_up_and_stops_by_itself_has_stopped() -> None:
    assert ends(run(ScriptedChatModel(turns=[[delta("bye"), used(50)]]), 50)) == [(FinishReason.STOP, 50)]


@pytest.mark.parametrize(
    "piece", [delta("word "), think("hmm, "), delta("字"), call_piece(0, name="echo", arguments="[1, ")]
)
def test_a_provider_that_does_not_listen_is_cut_off(piece: Step) -> None:
    model = ScriptedChatModel(turns=[[*[piece] * 2000, used(2000)]])
    events = run(model, 20)
    assert (model.active, model.cancelled) == (0, 1)
    [(reason, written)] = ends(events)
    assert reason is FinishReason.LENGTH
    assert 2 * 20 + 64 < written <= 2 * 20 + 64 + 2
    assert isinstance(events[-2], AttemptEnded)
    assert events[-2].attempt.usage.estimated
    assert len(model.requests) == 1


@given(st.integers(1, 300), st.lists(st.text(st.sampled_from("ab 字か"), min_size=1, max_size=40), max_size=30))
def test_what_is_within_twice_the_limit_passes_unchanged(limit: int, texts: list[str]) -> None:
    model = ScriptedChatModel(turns=[[*map(delta, texts), finished()]])
    events = run(model, limit)
    shown = "".join(event.text for event in events if isinstance(event, AnswerDelta))
    whole = "".join(texts)
    assert whole.startswith(shown)
    if estimate(whole) <= 2 * limit + 64:
        assert shown == whole
        assert ends(events) == [(FinishReason.STOP, estimate(whole))]
    else:
        assert ends(events) == [(FinishReason.LENGTH, estimate(shown))]


@dataclass
class Obedient:
    """Calls tools in most turns, and writes as much as it wants to, but never more than it may."""

    wants: list[tuple[int, int]]
    allowed: list[int] = field(default_factory=list)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        want, calls = self.wants[len(self.allowed) % len(self.wants)]
        assert request.max_output_tokens is not None
        self.allowed.append(request.max_output_tokens)
        yield TextDelta("x")
        for number in range(calls):
            yield ToolCallDelta(number, f"c{number}", "echo", '{"text": "x"}')
        reason = FinishReason.LENGTH if want > request.max_output_tokens else FinishReason.STOP
        yield ModelFinished(reason, Usage(1, min(want, request.max_output_tokens)))


@given(
    st.integers(1, 60),
    st.none() | st.integers(1, 100),
    st.lists(st.tuples(st.integers(1, 90), st.integers(0, 2)), min_size=1, max_size=5),
)
def test_all_turns_together_stay_within_the_limit(limit: int, own: int | None, wants: list[tuple[int, int]]) -> None:
    model = Obedient(wants)
    events = run(model, limit, replace(ASKED, max_output_tokens=own), turns=300)
    spent = [tokens for _, tokens in ends(events)]
    assert sum(spent) <= limit
    assert model.allowed == [min(limit - sum(spent[:n]), own or limit) for n in range(len(spent))]
    rounds = [event for event in events if isinstance(event, RoundFinished)]
    assert len(rounds) == len(spent) - 1
    if sum(spent) == limit and wants[(len(spent) - 1) % len(wants)][1]:
        assert ends(events)[-1][0] is FinishReason.LENGTH


def test_the_offline_model_keeps_to_the_limit_of_a_run() -> None:
    events = run(OfflineChatModel(delay_seconds=0), 40, replace(ASKED, turns=(UserTurn("count to 1000"),)))
    assert ends(events) == [(FinishReason.LENGTH, 40)]


def test_closing_a_limited_run_closes_the_stream_of_the_model() -> None:
    model = ScriptedChatModel([delta("a"), delta("b"), finished()])

    async def act() -> None:
        async with aclosing(loop(2).run(alone(model, output_left=9), ASKED, Equipment({}))) as events:
            while not isinstance(await anext(events), AnswerDelta):
                pass

    asyncio.run(act())
    assert (model.opened, model.active, model.cancelled) == (1, 0, 1)


def test_a_limited_stream_is_read_to_its_end() -> None:
    model = ScriptedChatModel([delta("a"), finished()])
    run(model, 9)
    assert model.cancelled == 0
