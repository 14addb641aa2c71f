"""Texts of made-up words for measurements: as common and as rare as those of a language, English and Chinese by turns."""

from collections.abc import Sequence

import numpy as np

ENGLISH, CHINESE = 30_000, 20_000
"""Different words."""
SYLLABLES = [start + vowel + end for start in "bcdfglmnprstvw" for vowel in "aeiou" for end in ("", "n", "r", "l", "t")]
FIRST_CHARACTER, CHARACTERS = 0x4E00, 3_000


class Words:
    """The word of rank r is drawn with a probability of 1 / (r + 2.7), as in a natural text."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = np.random.default_rng(seed)
        self._english = self._vocabulary(SYLLABLES, ENGLISH)
        characters = [chr(FIRST_CHARACTER + number) for number in range(CHARACTERS)]
        self._chinese = self._vocabulary(characters, CHINESE)

    def text(self, number: int, words: int) -> str:
        """Sentences of about ten words; every second text is Chinese."""
        chinese = number % 2 == 1
        drawn = self._drawn(self._chinese if chinese else self._english, words)
        space, stop = ("", "。") if chinese else (" ", ". ")
        return stop.join(space.join(drawn[first : first + 10]) for first in range(0, words, 10)) + stop.strip()

    def question(self, number: int) -> str:
        """Of eight words, the commonest among them, as people ask."""
        return self.text(number, 8)

    def document(self, words: int) -> str:
        """A manual: chapters with headings, paragraphs in both languages."""
        parts = []
        for number in range(max(1, words // 120)):
            if number % 8 == 0:
                parts.append(f"# Chapter {number // 8 + 1}: {self.text(0, 3)}")
            parts.append(self.text(number, 120))
        return "\n\n".join(parts)

    def _drawn(self, words: Sequence[str], count: int) -> list[str]:
        # The inverse of the distribution, instead of a table of it.
        ranks = 2.7 * ((len(words) + 2.7) / 2.7) ** self._rng.random(count) - 2.7
        return [words[int(rank)] for rank in ranks]

    def _vocabulary(self, parts: Sequence[str], count: int) -> list[str]:
        sizes = self._rng.choice([1, 2, 3], size=count, p=[0.2, 0.6, 0.2])
        # One draw for all: as many calls take seconds.
        drawn = self._rng.integers(0, len(parts), size=(count, 3))
        return ["".join(parts[one] for one in row[:size]) for row, size in zip(drawn.tolist(), sizes, strict=True)]


def unit_vectors(count: int, dimensions: int, seed: int = 7) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions), dtype=np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")
