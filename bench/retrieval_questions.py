"""What is asked of the documents, written while reading them, and how well a ranking answers it."""

import hashlib
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

DEEP = 10
"""Places that MRR and nDCG look at."""
NEAR = 5
"""Places that recall looks at."""


@dataclass(frozen=True)
class Question:
    """`text` stands in the passage of the file that answers it, and in no other file."""

    question: str
    file: str
    text: str

    @property
    def half(self) -> str:
        """Which is drawn by what is asked, so that questions may come and go without moving the others."""
        return "test" if hashlib.sha256(self.question.encode()).digest()[0] % 2 else "development"


def questions(language: str) -> list[Question]:
    path = Path(__file__).parent / f"questions_{language}.json"
    return [Question(**one) for one in json.loads(path.read_text())]


def fitting(asked: Sequence[Question], texts: dict[str, str]) -> tuple[list[Question], list[str]]:
    """Those whose text is in their file, and in no other; and what is wrong with the rest."""
    kept, wrong = [], []
    for one in asked:
        holding = [name for name, text in texts.items() if one.text in text]
        if holding == [one.file]:
            kept.append(one)
        else:
            wrong.append(f"{one.question!r}: {one.text!r} should be in {one.file}, and is in {holding or 'none'}")
    return kept, wrong


def recall(place: int | None) -> float:
    return float(place is not None and place <= NEAR)


def reciprocal(place: int | None) -> float:
    return 1 / place if place is not None and place <= DEEP else 0.0


def gain(place: int | None) -> float:
    """nDCG where one passage answers: neighbours that repeat the answer in their overlap add nothing."""
    return 1 / math.log2(place + 1) if place is not None and place <= DEEP else 0.0


FIGURES: dict[str, Callable[[int | None], float]] = {
    f"recall@{NEAR}": recall,
    f"MRR@{DEEP}": reciprocal,
    f"nDCG@{DEEP}": gain,
}


def figures(places: Sequence[int | None]) -> list[float]:
    """`places` says for each question where its answer stands first, from 1; None where nowhere."""
    return [fmean(map(figure, places)) for figure in FIGURES.values()]


def likely(ours: Sequence[int | None], theirs: Sequence[int | None]) -> list[tuple[float, float]]:
    """For each figure, between what the true difference lies with 95 %: by drawing questions again (bootstrap)."""
    chance = random.Random(5)
    drawn = [chance.choices(range(len(ours)), k=len(ours)) for _ in range(1000)]
    bounds = []
    for figure in FIGURES.values():
        gaps = [figure(our) - figure(their) for our, their in zip(ours, theirs, strict=True)]
        means = sorted(fmean(gaps[at] for at in sample) for sample in drawn)
        bounds.append((means[len(means) // 40], means[-len(means) // 40 - 1]))
    return bounds
