"""Finds the sentences that answer a question, by the words that they share with it."""

import math
import re
from collections import Counter
from collections.abc import Iterable

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f\uff1b])|\n+")
_RULE = re.compile(r"[-=*#`~_\s]+")
_WORD = re.compile(r"[a-z0-9]+(?:[-_'][a-z0-9]+)*|[\u3400-\u9fff]+", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_MARK = re.compile(r"\[[^\[\]]*\]")
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        a about an and are as at be by can could describe described describes did do does explain explained explains
        for from had has have how i in is it its me mention mentioned mentions my of on or our please said say says
        tell tells that the their them there they this to told us was we were what what's when where which who why
        will with would you your
        """,
    )
)
_EMPTY_CHARACTERS = frozenset(
    "的了吗呢吧啊我你您他她它们是在有和与及或这那哪什么谁怎样么请问一个几多少为能可以会要就都也被把给"
)
LONGEST_SENTENCE = 600
MOST_SENTENCES = 3
ENOUGH = 0.34


def best_sentences(question: str, sources: Iterable[str]) -> list[str]:
    """At most three, in the order of the sources; none when nothing shares enough of the question."""
    asked = _terms(question)
    if not asked:
        return []
    sentences = [sentence for source in sources for sentence in _sentences(source)]
    terms = [_terms(sentence) for sentence in sentences]
    known = Counter(term for found in terms for term in found)
    weight = {term: 1 + math.log((1 + len(sentences)) / (1 + known[term])) for term in asked}
    total = sum(weight.values())
    scores = [sum(weight[term] for term in asked & found) / total for found in terms]
    best = max(scores, default=0.0)
    if best < ENOUGH:
        return []
    ranked = sorted((n for n, score in enumerate(scores) if score >= 0.7 * best), key=lambda n: (-scores[n], n))
    return list(dict.fromkeys(sentences[n] for n in sorted(ranked[:MOST_SENTENCES])))


def first_sentences(source: str) -> list[str]:
    """The first three; marks such as [page 1] are none."""
    return [one for one in _sentences(source) if not _MARK.fullmatch(one)][:MOST_SENTENCES]


def _sentences(source: str) -> list[str]:
    """Statements only: a question answers none."""
    parts = (part.strip()[:LONGEST_SENTENCE] for part in _SENTENCE_END.split(_TAG.sub("\n", source)))
    return [part for part in parts if part and not part.endswith(("?", "\uff1f")) and not _RULE.fullmatch(part)]


def _terms(text: str) -> set[str]:
    """Words, and pairs of neighbouring Chinese characters."""
    terms: set[str] = set()
    for word in _WORD.findall(text):
        if word[0] >= "\u3400":
            kept = "".join(" " if char in _EMPTY_CHARACTERS else char for char in word).split()
            terms.update(piece[n : n + 2] for piece in kept for n in range(max(1, len(piece) - 1)))
        elif word.lower() not in _EMPTY_WORDS:
            terms.add(_stem(word.lower()))
    return terms


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
