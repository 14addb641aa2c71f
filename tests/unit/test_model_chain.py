"""Who answers where models fail: whatever fails and however, each call of a provider is one attempt."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.asking.model_chain import RETRIES
from domain.chat.chat_events import AnswerDelta, AttemptBegan, ToolProgress
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    ToolCallDelta,
    Usage,
)
from domain.dialogs.messages import StepStatus
from domain.errors import ModelError
from domain.models.attempts import ANSWERED, DEFECT, INTERRUPTED, Purpose
from domain.models.breakers import FAILURES
from domain.models.model_routes import MOST_MODELS, ModelRoute
from domain.tools.tools import ToolType
from model_asking import ASKER
from played_models import LASTING, PASSING, STAYING, Play, Providers, Said, ask, asked, providers, spec
from virtual_time import run

NAMES = "abcdefghij"
CODES = st.sampled_from([*PASSING, *LASTING, *STAYING, "context_too_long", "defect", "silence", ""])
PLAYS = st.lists(st.builds(Play, st.sampled_from([0, 0, 0, 1, 2]), CODES), max_size=4)
CHAINS = st.fixed_dictionaries(
    {name: st.tuples(PLAYS, st.lists(st.sampled_from(NAMES + "?"), max_size=5), st.booleans()) for name in NAMES}
)


def played(drawn: dict[str, tuple[list[Play], list[str], bool]]) -> Providers:
    specs = [spec(name, *fallbacks) for name, (_, fallbacks, _) in drawn.items()]
    shut = [name for name, (_, _, is_shut) in drawn.items() if is_shut and name != "a"]
    return providers(*specs, shut=shut, **{name: list(plays) for name, (plays, _, _) in drawn.items()})


@settings(deadline=None)
@given(CHAINS)
def test_whatever_fails_each_call_is_one_attempt_and_the_words_are_of_one_model(
    drawn: dict[str, tuple[list[Play], list[str], bool]],
) -> None:
    of = played(drawn)
    chain = of.chain()
    said = run(ask(chain))
    names = [name for name, _ in of.asked]
    assert [one.llm_id for one in said.attempts] == names
    assert of.closed == len(names) <= MOST_MODELS * (1 + RETRIES)
    order = list(dict.fromkeys(names))
    assert names == [name for name in order for _ in range(names.count(name))], "nobody is asked again after others"
    assert said.failed_models == order[:-1]
    spoken = {event.text.strip() for event in said.events if isinstance(event, AnswerDelta)}
    assert spoken <= {order[-1]} == {chain.spec.llm_id}
    assert all(one.outcome != ANSWERED and one.first_token_ms is None for one in said.attempts[:-1])
    assert (said.attempts[-1].outcome == ANSWERED) == (said.error is None)
    assert not set(order) & of.shut
    if said.error is not None:
        assert said.code in (said.attempts[-1].outcome, "ZeroDivisionError")
    assert len(of.looked_up) < MOST_MODELS


@settings(deadline=None)
@given(CHAINS, st.integers(1, 30))
def test_wherever_it_is_stopped_every_call_that_began_is_accounted_for(
    drawn: dict[str, tuple[list[Play], list[str], bool]], most: int
) -> None:
    of = played(drawn)
    said = run(ask(of.chain(), most=most))
    attempts = said.transcript.attempts(ended=10**14)
    begun = [event for event in said.events if isinstance(event, AttemptBegan) and event.attempt.first_token_ms is None]
    assert len(attempts) == len(begun)
    # The last one that is told to begin may not have been called yet.
    assert len(begun) - 1 <= len(of.asked) <= len(begun)
    assert of.closed == len(of.asked)
    assert [one.outcome for one in attempts].count(INTERRUPTED) <= 1
    for one in attempts:
        assert one.cost_nanos == 1000 * (one.usage.input_tokens + 2 * one.usage.output_tokens)


@pytest.mark.parametrize("code", [*PASSING, *LASTING])
def test_a_failure_before_the_first_word_moves_to_the_next_model_which_stays(code: str) -> None:
    of = providers(spec("a", "b"), spec("b"), a=[Play(0, code)] * 9)
    chain = of.chain()
    first, second = run(ask(chain)), run(ask(chain))
    tries = 2 if code in PASSING else 1
    assert first.outcomes == [("a", code)] * tries + [("b", ANSWERED)]
    [step] = [event.step for event in first.events if isinstance(event, ToolProgress)]
    assert (step.status, step.tool_type, step.tool_name) == (StepStatus.ERROR, ToolType.MODEL, "a")
    assert step.message == "a failed. b answers instead."
    assert second.outcomes == [("b", ANSWERED)]
    assert of.looked_up == ["b"]


@pytest.mark.parametrize("code", [*PASSING, *LASTING, *STAYING])
def test_after_the_first_word_nobody_else_goes_on(code: str) -> None:
    of = providers(spec("a", "b"), spec("b"), a=[Play(1, code)])
    said = asked(of)
    assert (said.code, said.outcomes, of.looked_up) == (code, [("a", code)], [])
    [attempt] = said.attempts
    assert attempt.usage.estimated
    assert attempt.usage.output_tokens > 0
    assert attempt.first_token_ms is not None


@pytest.mark.parametrize("code", STAYING)
def test_what_is_wrong_with_the_request_is_wrong_for_all(code: str) -> None:
    of = providers(spec("a", "b"), spec("b"), a=[Play(0, code)])
    said = asked(of)
    assert (said.code, said.outcomes, of.looked_up) == (code, [("a", code)], [])


def test_nothing_is_looked_up_while_nothing_fails() -> None:
    of = providers(spec("a", "b", "c"), spec("b"), spec("c"))
    assert asked(of).outcomes == [("a", ANSWERED)]
    assert of.looked_up == []


def test_fallbacks_that_are_gone_shut_or_name_each_other_are_passed_over() -> None:
    specs = spec("a", "gone", "b", "c"), spec("b", "a"), spec("c", "b", "d"), spec("d", "a", "c")
    down = [Play(0, "model_auth_failed")]
    of = providers(*specs, shut=["b"], a=list(down), c=list(down), d=list(down))
    said = asked(of)
    assert said.outcomes == [(name, "model_auth_failed") for name in "acd"]
    assert said.code == "model_auth_failed"
    assert said.failed_models == ["a", "c"]


def test_a_model_that_is_not_configured_gives_way_without_an_attempt() -> None:
    of = providers(spec("a", "b"), spec("b"), shut=["a"])
    said = asked(of)
    assert (said.outcomes, said.failed_models) == ([("b", ANSWERED)], ["a"])


def test_what_failed_without_a_word_costs_nothing() -> None:
    of = providers(spec("a"), a=[Play(0, "model_unavailable")] * 3)
    said = asked(of)
    assert {(one.usage, one.cost_nanos) for one in said.attempts} == {(Usage(), 0)}


def test_a_defect_is_an_attempt_and_no_reason_to_ask_others() -> None:
    of = providers(spec("a", "b"), spec("b"), a=[Play(0, "defect")])
    said = asked(of)
    assert (said.code, said.outcomes) == ("ZeroDivisionError", [("a", DEFECT)])


def test_an_answer_that_ends_without_its_end_is_cut_off() -> None:
    of = providers(spec("a"), a=[Play(2, "silence")])
    said = asked(of)
    assert (said.code, said.outcomes) == ("model_stream_cut", [("a", "model_stream_cut")])


def test_a_long_wait_that_the_provider_asks_for_is_left_to_the_next_model() -> None:
    class Busy:
        async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
            if request.turns:
                raise ModelError("model_rate_limited", "Too many.", retryable=True, retry_after=3)
            yield ModelFinished(FinishReason.STOP)

    async def act(*fallbacks: str) -> tuple[float, Said]:
        of = providers(spec("a", *fallbacks), spec("b"))
        open_others = of.open
        of.open = lambda spec: Busy() if spec.llm_id == "a" else open_others(spec)  # type: ignore[method-assign]
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = await ask(of.chain())
        return loop.time() - began, said

    took, said = run(act("b"))
    assert (took, said.outcomes) == (0, [("a", "model_rate_limited"), ("b", ANSWERED)])
    took, said = run(act())
    assert (round(took), said.code) == (6, "model_rate_limited")


def test_an_open_breaker_moves_on_at_once_and_refuses_where_there_is_nobody_else() -> None:
    of = providers(spec("a", "b"), spec("b"), spec("c"), a=[Play(0, "model_auth_failed")] * 99)
    models = of.models()

    async def act() -> None:
        for _ in range(FAILURES):
            await ask(models.chain(ModelRoute.of(of.specs["a"]), ASKER))
        said = await ask(models.chain(ModelRoute.of(of.specs["a"]), ASKER))
        assert (said.outcomes, said.failed_models) == ([("b", ANSWERED)], ["a"])
        models.admit(ModelRoute.of(of.specs["a"]), ASKER)
        with pytest.raises(ModelError, match="left alone") as refusal:
            models.admit(ModelRoute.of(replace(of.specs["a"], fallbacks=())), ASKER)
        assert refusal.value.retry_after is not None
        models.admit(ModelRoute.of(of.specs["c"]), ASKER)

    run(act())


def test_a_fallback_whose_line_is_long_is_passed_over() -> None:
    of = providers(spec("a", "b", "c"), spec("b", max_concurrent=1), spec("c"), a=[Play(0, "model_auth_failed")])
    models = of.models()

    async def act() -> Said:
        places = models.calling.places
        await places.take(of.specs["b"])
        waiting = [asyncio.create_task(places.take(of.specs["b"])) for _ in range(4)]
        await asyncio.sleep(0)
        said = await ask(models.chain(ModelRoute.of(of.specs["a"]), ASKER))
        for task in waiting:
            task.cancel()
        return said

    assert run(act()).outcomes == [("a", "model_auth_failed"), ("c", ANSWERED)]


def test_each_model_has_tries_of_its_own() -> None:
    down = [Play(0, "model_unavailable")] * 9
    said = asked(providers(spec("a", "b"), spec("b", "c"), spec("c"), a=list(down), b=list(down), c=list(down)))
    assert [name for name, _ in said.outcomes] == ["a", "a", "b", "b", "c", "c", "c"]


def test_who_waited_in_line_while_the_breaker_opened_asks_nobody_and_gives_the_place_back() -> None:
    of = providers(spec("a", max_concurrent=1))
    models = of.models()

    async def act() -> None:
        calling, first = models.calling, of.specs["a"]
        leave = await calling.places.take(first)
        waiting = asyncio.create_task(ask(models.chain(ModelRoute.of(first), ASKER)))
        await asyncio.sleep(0)
        for _ in range(FAILURES):
            calling.breakers.begin(first).ended(ModelError("model_unavailable", "Down.", retryable=True))
        leave()
        said = await waiting
        assert (said.code, said.outcomes, of.asked) == ("model_unavailable", [], [])
        assert [line.active for line in calling.places.lines.values()] == [0]

    run(act())


def test_every_place_is_given_back_whatever_fails() -> None:
    limited = [spec("a", "b", max_concurrent=1), spec("b", max_concurrent=1)]
    of = providers(*limited, a=[Play(0, "model_unavailable"), Play(1, "model_stalled")], b=[Play(0, "defect")])
    models = of.models()

    async def act() -> None:
        for most in (1, 2, 4, 10**9, 10**9):
            await ask(models.chain(ModelRoute.of(of.specs["a"]), ASKER), most=most)
        assert [line.active for line in models.calling.places.lines.values()] == [0] * len(models.calling.places.lines)

    run(act())


def test_a_route_goes_on_where_it_was_left() -> None:
    of = providers(spec("a", "b", "c"), spec("b", "d"), spec("c"), spec("d"), a=[Play(0, "model_auth_failed")])
    chain = of.chain()
    run(ask(chain))
    left = chain.route
    of.plays["b"] = [Play(0, "model_auth_failed")]
    of.plays["c"] = [Play(0, "model_auth_failed")]
    resumed = of.models().chain(ModelRoute(of.specs["b"], left.waiting, left.tried), ASKER)
    said = run(ask(resumed))
    assert [name for name, _ in said.outcomes] == ["b", "c", "d"]


def test_what_is_left_to_write_is_left_over_all_models() -> None:
    of = providers(spec("a", "b"), spec("b"), a=[Play(0, "model_auth_failed")], b=[Play(30, ""), Play(9, "")])
    chain = of.chain(output_left=40)
    first, second = run(ask(chain)), run(ask(chain))
    assert [request.output_left for _, request in of.asked] == [40, 40, 10]
    assert chain.output_left == 1
    assert [one.usage.output_tokens for one in (*first.attempts, *second.attempts)] == [0, 30, 9]


def test_calls_of_tools_are_the_first_word_too() -> None:
    class Calls:
        async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
            del request
            yield ToolCallDelta(0, "c", "t", "{")
            raise ModelError("model_stream_cut", "Cut.", retryable=True)

    of = providers(spec("a", "b"), spec("b"))
    of.open = lambda spec: Calls()  # type: ignore[method-assign]
    said = asked(of)
    assert (said.code, len(said.attempts)) == ("model_stream_cut", 1)
    assert said.attempts[0].usage.output_tokens > 0


def test_the_purpose_is_told_with_each_attempt() -> None:
    of = providers(spec("a"))
    said = run(ask(of.chain(purpose=Purpose.SUMMARY, guest=True)))
    assert [one.purpose for one in said.attempts] == [Purpose.SUMMARY]
