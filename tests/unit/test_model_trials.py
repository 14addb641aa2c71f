"""Who may try models, how often, and that trials tell what is wrong without telling a key."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.asking.model_trials import (
    A_MINUTE,
    ADVICE,
    AT_ONCE,
    AT_ONCE_OF_USER,
    MOST_SHOWN,
    REMEMBERED,
    WINDOW_SECONDS,
    TrialGate,
    shown,
)
from domain.errors import ModelError, TooManyRequests
from domain.ids import UserId
from domain.models.own_models import ELLIPSIS, TOLD_KEY
from entrypoints.graph.chat_models import without_key

USERS = st.sampled_from(["ann", "bob", "cho"]).map(UserId)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(USERS, st.floats(0, 20)), max_size=60))
def test_in_no_minute_a_user_begins_more_trials_than_may_be(steps: list[tuple[UserId, float]]) -> None:
    time = Time()
    gate, begun = TrialGate(time), list[tuple[UserId, float]]()
    for user, pause in steps:
        time.now += pause
        lately = [at for who, at in begun if who == user and at > time.now - WINDOW_SECONDS]
        if len(lately) < A_MINUTE:
            with gate.admitted(user):
                begun.append((user, time.now))
        else:
            with pytest.raises(TooManyRequests) as refused, gate.admitted(user):
                pass
            assert refused.value.code == "too_many_trials"
            assert 0 <= (refused.value.retry_after or -1.0) <= WINDOW_SECONDS
    assert not gate.going_on


@given(st.lists(USERS, max_size=30))
def test_so_many_go_on_at_once_and_each_user_has_a_share(users: list[UserId]) -> None:
    gate, taken = TrialGate(Time()), list[UserId]()
    with ExitStack() as going_on:
        for user in users:
            try:
                going_on.enter_context(gate.admitted(user))
            except TooManyRequests:
                assert len(taken) == AT_ONCE or taken.count(user) == AT_ONCE_OF_USER
            else:
                taken.append(user)
                assert len(taken) <= AT_ONCE
                assert taken.count(user) <= AT_ONCE_OF_USER
    assert not gate.going_on


def test_who_tried_something_long_ago_is_forgotten() -> None:
    time = Time()
    gate = TrialGate(time)
    for number in range(REMEMBERED * 2):
        time.now += 1
        with gate.admitted(UserId(str(number))):
            pass
    assert len(gate.begun) <= REMEMBERED + 1


def test_a_trial_that_breaks_gives_its_place_back() -> None:
    gate = TrialGate(Time())
    for _ in range(AT_ONCE_OF_USER + 1):
        with pytest.raises(ZeroDivisionError), gate.admitted(UserId("ann")):
            raise ZeroDivisionError
    assert not gate.going_on


@given(st.text(max_size=300), st.text("abc-0123456789", min_size=8, max_size=20), st.text(max_size=300))
def test_what_is_shown_of_a_model_s_words_is_short_one_line_and_without_the_key(
    before: str, key: str, after: str
) -> None:
    told = shown(before + key + after, key)
    assert len(told) <= MOST_SHOWN + len(ELLIPSIS)
    assert key not in told
    assert told.isprintable()
    assert shown("OK", "") == "OK"


def test_an_error_that_repeats_the_key_is_the_same_error_without_it() -> None:
    told = ModelError("model_bad_request", "refused (code sk-secret)", retryable=True, retry_after=3.0)
    error = without_key(told, "sk-secret")
    assert error.message == "refused (code …)"
    assert (error.code, error.retryable, error.retry_after) == ("model_bad_request", True, 3.0)
    other = ModelError("model_bad_request", "refused")
    assert without_key(other, "sk-secret") is other
    assert without_key(other, "") is other


@given(st.text("abcdefgh-. ", min_size=1, max_size=TOLD_KEY - 1))
def test_a_key_as_short_as_a_word_leaves_sentences_as_they_are(key: str) -> None:
    told = ModelError("model_unavailable", "The model's provider can't be reached.")
    assert without_key(told, key) is told
    assert shown("The capital is Rome.", key) == "The capital is Rome."


def test_advice_is_given_in_sentences() -> None:
    for advice in ADVICE.values():
        assert advice[0].isupper()
        assert advice.endswith(".")
