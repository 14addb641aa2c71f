"""What an answer cites: numbers in brackets, of any width, and neither links nor code."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dialogs.messages import Citation
from domain.ids import KnowledgeFileId, KnowledgeId
from domain.knowledge.citations import LONGEST_RANGE, cited, numbered
from domain.knowledge.retrieval import Passage

SHOWN = tuple(Citation(number, "text", "a.pdf", "k", "f", None, 0, 4, 0.5) for number in range(1, 30))
numbers = st.integers(1, 29)
prose = st.text(alphabet="ab 好。,\n`~[]()", max_size=80)


def named(text: str) -> list[int]:
    return [one.index for one in cited(text, SHOWN)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It lasts two years [1].", [1]),
        ("It lasts two years.[2][1] And more [3]", [1, 2, 3]),
        ("Both [1, 2], all [4; 5] and 好［６］【7】【8，9】[10、11]", [1, 2, 4, 5, 6, 7, 8, 9, 10, 11]),
        ("保修期为两年[12]。", [12]),
        ("[1-3] and [5\u20136]", [1, 2, 3, 5, 6]),
        ("[ 1 ] and [^2]", [1, 2]),
        ("a list:\n- one [1]\n    - two [2]", [1, 2]),
        ("see [1](https://example.org) and [the second](2)", []),
        ("[0] [30] [2026] [-1] [1.5] [x1] [] [1 2]", []),
        ("```python\nrows[1] = rows[2]\n```\nso it is [3]", [3]),
        ("~~~\n[1]\n```\n[2]\n~~~\n[3]", [3]),
        ("````\n```\n[1]\n```\n````\n[2]", [2]),
        ("``` is `a[1]` ```[2]", [2]),
        ("write `a[1]` or ``b`[2]`` as in [3]", [3]),
        ("a lone ` before [1]", [1]),
        ("[1] ``` and [2]", [1, 2]),
        ("```\n[1] is never closed", []),
        ("[9-1]", []),
        ("[1-29]", []),
        ("", []),
    ],
)
def test_what_is_cited(text: str, expected: list[int]) -> None:
    assert named(text) == expected


@given(st.text())
def test_only_what_was_shown_is_cited_in_order_and_once(text: str) -> None:
    found = cited(text, SHOWN)
    assert list(found) == sorted(set(found), key=lambda one: one.index)
    assert set(found) <= set(SHOWN)
    assert cited(text, ()) == ()


@given(st.lists(st.tuples(st.text(alphabet="ab 好。.,\n", max_size=20), numbers), max_size=8))
def test_every_number_that_is_named_is_found(parts: list[tuple[str, int]]) -> None:
    text = "".join(f"{before}[{number}]" for before, number in parts)
    assert named(text) == sorted({number for _, number in parts})


@given(prose, numbers, st.sampled_from(["```", "~~~~"]))
def test_no_block_of_code_cites(inside: str, number: int, fence: str) -> None:
    code = inside.replace("`", "").replace("~", "")
    assert named(f"said\n{fence}\n{code}[{number}]\n{fence}\n") == []


@given(prose, prose)
def test_more_text_never_takes_a_citation_away(before: str, after: str) -> None:
    """Unless what comes before opens a block that is never closed."""
    plain = before.replace("`", "").replace("~", "")
    assert set(named(f"{plain}\n{after}")) == {*named(plain), *named(after)}


def test_a_citation_keeps_its_number_and_the_first_of_a_number_counts() -> None:
    first, again = SHOWN[6], Citation(7, "other", "b.pdf", "k", "g", 2, 5, 9, 0.1)
    assert cited("[7]", [first, again]) == (first,)


def test_passages_are_numbered_on() -> None:
    passage = Passage("text", 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 3, 10, 14)
    assert numbered([passage, passage], 4) == (
        Citation(4, "text", "a.pdf", "k", "f", 3, 10, 14, 0.5),
        Citation(5, "text", "a.pdf", "k", "f", 3, 10, 14, 0.5),
    )


@pytest.mark.parametrize(
    "piece", ["[", "[1", "[1,", "`", "``` `` `", "[1-", "[1]", "```\n", "【1-9】" * 3, "[ ", "~~~ "]
)
def test_no_answer_takes_long_to_look_through(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    began = time.process_time()
    cited(text, SHOWN)
    assert time.process_time() - began < 1.5


def test_a_range_that_names_everything_names_nothing() -> None:
    assert named(f"[1-{LONGEST_RANGE + 1}]") == list(range(1, LONGEST_RANGE + 2))
    assert named(f"[1-{LONGEST_RANGE + 2}]") == []
