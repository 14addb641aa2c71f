"""An answer that waits is known again by what a program was told of it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from domain.chat.told_messages import Message, Role, continued
from domain.chat.told_waits import answer_that_waited, waiting_sentence
from domain.ids import DialogId, MessageId, RunId, UserId, new_id
from domain.runs.runs import Run, RunStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OTHER = f" as the message {'0' * 26}.]"
texts = st.text(max_size=30) | st.sampled_from([OTHER, f"a{OTHER}b", "[There is no answer yet: "])


def run_in(dialog: str) -> Run:
    now = NOW
    return Run(RunId(new_id()), UserId("u"), DialogId(dialog), MessageId(new_id()), RunStatus.RUNNING, now, now)


@given(texts, texts, st.lists(texts, max_size=3), st.sampled_from(["", " ", "\n\n"]))
def test_it_is_that_one_whatever_else_is_said(before: str, dialog: str, calls: list[str], after: str) -> None:
    run = run_in(dialog)
    told = f"{before}{waiting_sentence(run, calls)}{after}"
    assert answer_that_waited(told) == run.message_id
    found = continued([Message(Role.USER, "q"), Message(Role.AGENT, told), Message(Role.USER, "and?")])
    assert found is not None
    assert found.answer == run.message_id


@given(texts)
def test_other_words_are_no_such_answer(text: str) -> None:
    assert answer_that_waited(text) is None
    assert answer_that_waited(f"{waiting_sentence(run_in('d'), [])} {text or '.'}x") is None
