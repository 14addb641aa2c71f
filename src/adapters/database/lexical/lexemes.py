"""Terms as both databases can hold them: each stands for itself, and none is read as an operator or as two words."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

_MARK: Final = "\ue000"
_PLAIN: Final = re.compile("[a-z0-9\u0080-\U0010ffff]{1,60}")

MOST_OF_A_CHUNK: Final = 2000
"""Different terms. Postgres takes a megabyte for all."""
MOST_OF_A_QUERY: Final = 64
"""Different terms that are looked at; the rarest of them decide."""
MOST_KEPT: Final = 32


def scope(knowledge_id: str) -> str:
    """What the terms of a base begin with. Of one length, so that no term of one base looks like one of another."""
    return hashlib.blake2b(knowledge_id.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def lexeme(term: str) -> str:
    """Of different terms different ones, by a cryptographic hash where the term can't be held as it is."""
    if _PLAIN.fullmatch(term) and term.isalnum():
        return term
    return _MARK + hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def lexemes(terms: Iterable[str]) -> Counter[str]:
    """How often each stands in a chunk."""
    counted = Counter(filter(None, terms)).most_common(MOST_OF_A_CHUNK)
    return Counter({lexeme(term): count for term, count in counted})


def asked(terms: Sequence[str]) -> list[str]:
    """Of a query, each once; of too many the longest, which are seldom common ones."""
    different = dict.fromkeys(filter(None, terms))
    longest = sorted(different, key=lambda term: -len(term))[:MOST_OF_A_QUERY]
    return [lexeme(term) for term in longest]
