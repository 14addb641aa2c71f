"""Breakers: they open after failures in a row, let one call try, and shut out nobody for another's failures."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.asking.provider_breakers import REMEMBERED, Breakers, Trial
from domain.errors import ModelError
from domain.ids import ModelId
from domain.models.breakers import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, PROBE_SECONDS
from domain.models.models import ModelSpec, Provider

DOWN = ModelError("model_unavailable", "The model's provider failed.", retryable=True)
NO_KEY = ModelError("model_auth_failed", "The model's provider refused the API key.")
TOO_LONG = ModelError("context_too_long", "The conversation is longer than the model can read.")

SLACK = 1e-6
"""Of sums of floats."""


@dataclass
class Scene:
    now: float = 0.0
    chance: float = 0.0
    breakers: Breakers = field(init=False)

    def __post_init__(self) -> None:
        self.breakers = Breakers(lambda: self.now, lambda: self.chance)

    def fails(self, spec: ModelSpec, times: int = 1, error: ModelError = DOWN) -> None:
        for _ in range(times):
            self.breakers.begin(spec).ended(error)

    def pause(self, spec: ModelSpec) -> float:
        refusal = self.refusal(spec)
        if refusal is None:
            return 0.0
        assert (refusal.code, refusal.retryable) == ("model_unavailable", True)
        assert refusal.retry_after is not None
        return refusal.retry_after

    def refusal(self, spec: ModelSpec) -> ModelError | None:
        try:
            self.breakers.refuse(spec)
        except ModelError as refusal:
            return refusal
        return None


def spec(name: str = "m", key: str = "key") -> ModelSpec:
    return ModelSpec(ModelId(name), Provider.OPENAI, name, key_id=key)


def test_it_opens_after_failures_in_a_row_and_says_why_and_for_how_long() -> None:
    scene = Scene()
    scene.fails(spec(), FAILURES - 1)
    assert scene.pause(spec()) == 0
    scene.fails(spec())
    assert (scene.pause(spec()), scene.breakers.open) == (FIRST_PAUSE, 1)
    with pytest.raises(ModelError, match=r"left alone for 5 s: The model's provider failed\."):
        scene.breakers.begin(spec())
    scene.now = FIRST_PAUSE
    assert (scene.pause(spec()), scene.breakers.open) == (0, 0)


def test_an_answer_in_between_begins_the_count_anew() -> None:
    scene = Scene()
    for _ in range(5):
        scene.fails(spec(), FAILURES - 1)
        scene.breakers.begin(spec()).ended(None)
    assert scene.pause(spec()) == 0


def test_a_provider_that_fails_is_closed_for_every_model_of_the_key_and_for_no_other_key() -> None:
    scene = Scene()
    scene.fails(spec("a"), FAILURES)
    assert scene.pause(spec("b")) > 0
    assert scene.pause(spec("a", key="another")) == 0


def test_a_refused_key_closes_the_model_that_it_was_refused_for_alone() -> None:
    scene = Scene()
    scene.fails(spec("a"), FAILURES, NO_KEY)
    assert scene.pause(spec("a")) > 0
    assert scene.pause(spec("b")) == 0
    assert scene.pause(spec("a", key="another")) == 0


def test_what_was_wrong_with_the_request_counts_for_nothing() -> None:
    scene = Scene()
    scene.fails(spec(), 10 * FAILURES, TOO_LONG)
    assert scene.pause(spec()) == 0


def test_one_call_tries_while_the_others_wait_and_its_first_word_lets_them_in() -> None:
    scene = Scene()
    scene.fails(spec(), FAILURES)
    scene.now = FIRST_PAUSE
    probe = scene.breakers.begin(spec())
    assert scene.pause(spec()) == PROBE_SECONDS
    probe.spoke()
    assert scene.pause(spec()) == 0
    scene.fails(spec())
    assert scene.pause(spec()) == 2 * FIRST_PAUSE, "it had only begun to speak"


def test_a_probe_that_was_stopped_leaves_the_try_to_the_next() -> None:
    scene = Scene()
    scene.fails(spec(), FAILURES)
    scene.now = FIRST_PAUSE
    scene.breakers.begin(spec()).given_up()
    scene.breakers.begin(spec()).ended(TOO_LONG)
    scene.breakers.begin(spec()).ended(None)
    assert (scene.pause(spec()), scene.breakers.open) == (0, 0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_each_failed_try_doubles_the_pause_up_to_the_longest(chances: list[float]) -> None:
    scene = Scene()
    scene.fails(spec(), FAILURES - 1)
    for number, chance in enumerate(chances):
        scene.chance = chance
        scene.fails(spec())
        whole = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE)
        assert 0.75 * whole <= scene.pause(spec()) + SLACK
        assert scene.pause(spec()) <= whole + SLACK
        scene.now += scene.pause(spec()) + SLACK


def test_calls_that_were_under_way_when_it_opened_do_not_make_the_pause_longer() -> None:
    scene = Scene()
    under_way = [scene.breakers.begin(spec()) for _ in range(100)]
    for trial in under_way:
        trial.ended(DOWN)
    assert scene.pause(spec()) == FIRST_PAUSE


def test_what_the_provider_asks_for_is_waited_for() -> None:
    scene = Scene()
    scene.fails(spec(), FAILURES, ModelError("model_rate_limited", "Too many.", retryable=True, retry_after=42))
    assert scene.pause(spec()) == 42
    scene.now = 42
    scene.fails(spec(), 1, ModelError("model_rate_limited", "Too many.", retryable=True, retry_after=1e9))
    assert scene.pause(spec()) == LONGEST_PAUSE


def test_no_more_is_remembered_than_so_much() -> None:
    scene = Scene()
    for number in range(2 * REMEMBERED):
        scene.fails(spec(key=f"key {number}"), FAILURES)
    assert scene.breakers.open == REMEMBERED


ENDS = st.sampled_from(["answered", "failed", "refused key", "too long", "given up", "spoke"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "end", "wait"]), st.integers(0, 9), ENDS, st.floats(0, 400)), max_size=60
    )
)
def test_whatever_happens_a_probe_goes_alone_and_time_heals(history: list[tuple[str, int, str, float]]) -> None:
    scene, trials = Scene(), list[Trial]()
    specs = [spec("a"), spec("b"), spec("a", "other")]
    for do, number, end, seconds in history:
        if do == "wait":
            scene.now += seconds
        elif do == "begin":
            chosen = specs[number % 3]
            allowed = scene.pause(chosen) == 0
            try:
                trials.append(scene.breakers.begin(chosen))
            except ModelError:
                assert not allowed
            else:
                assert allowed
                if any(probe for _, probe in trials[-1].probed):
                    assert scene.pause(chosen) == PROBE_SECONDS
        elif trials:
            _end(trials.pop(number % len(trials)), end)
    for trial in trials:
        trial.given_up()
    scene.now += LONGEST_PAUSE
    for one in specs:
        scene.breakers.begin(one).ended(None)
    assert scene.breakers.open == 0


def _end(trial: Trial, end: str) -> None:
    if end == "spoke":
        trial.spoke()
    errors = {"failed": DOWN, "refused key": NO_KEY, "too long": TOO_LONG}
    if end == "given up":
        trial.given_up()
    else:
        trial.ended(errors.get(end))
