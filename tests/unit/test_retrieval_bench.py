"""How retrieval is measured: by enough questions of each language, by the product's own measures, with what result."""

import importlib.util
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.chunking import ChunkSize
from domain.knowledge.evaluation import scores_of
from domain.knowledge.fusion import FUSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "retrieval.md").read_text()
LANGUAGES = {"en": "English", "zh": "Chinese"}


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    # Its dataclasses look for their module there.
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


bench = _module("retrieval_questions")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_150_questions_or_more_none_twice_and_many_in_each_half(language: str) -> None:
    asked = bench.questions(language)
    raw = json.loads((ROOT / "bench" / f"questions_{language}.json").read_text())
    assert len(asked) == len(raw) >= 150
    assert len({one.question for one in asked}) == len(asked)
    assert all(one.question.strip() and one.file.strip() and one.text.strip() for one in asked)
    halves = Counter(one.half for one in asked)
    assert min(halves.values()) >= 70
    counts = f"{halves['development']} of the development half and {halves['test']} of the test half"
    told = f"^{LANGUAGES[language]}: .+, {counts}"
    assert re.search(told, PAGE, re.MULTILINE)


@given(st.none() | st.integers(1, 30))
def test_a_question_of_the_bench_is_measured_as_one_of_a_user_s(place: int | None) -> None:
    counts = [] if place is None else [0] * (place - 1) + [1]
    near, deep = scores_of(counts, 1, bench.NEAR), scores_of(counts, 1, bench.DEEP)
    assert bench.figures([place]) == pytest.approx([near.recall, deep.reciprocal_rank, deep.ndcg])


@pytest.mark.parametrize("spoken", LANGUAGES.values())
def test_by_all_that_is_documented_hybrid_is_better_than_both_its_parts(spoken: str) -> None:
    rows = re.findall(rf"^\| {spoken} \| (\w+) \| ([^\n]+) \|$", PAGE, re.MULTILINE)
    figures = {way: [float(cell) for cell in cells.split("|")] for way, cells in rows}
    assert {way: len(one) for way, one in figures.items()} == {"lexical": 6, "dense": 6, "hybrid": 6}
    for part in ("lexical", "dense"):
        assert all(both > one for both, one in zip(figures["hybrid"], figures[part], strict=True))


def test_what_is_documented_was_measured_with_what_is_the_default() -> None:
    size = ChunkSize()
    assert f"\nChunks of {size.most} tokens, of which neighbours share {size.overlap}.\n" in PAGE
    assert FUSION.dense == FUSION.lexical
    assert f"- **Fusion**: k = {FUSION.k:g} and equal weights." in PAGE
    assert f"| **k = {FUSION.k:g}, equal weights** |" in PAGE
