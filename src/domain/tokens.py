"""How many tokens a text is, roughly: enough to budget a prompt without any vendor's tables."""

import re
from typing import Final

MOST_TOKENS: Final = (2**31 - 1) // 100
"""More than any model reads at once, and little enough that the sum of a run's 100 turns fits a 32-bit column."""

_CHARACTERS_A_TOKEN: Final = 4
_WIDE: Final = re.compile(
    "["
    "\u1100-\u11ff"  # hangul jamo
    "\u2e80-\u9fff"  # radicals, CJK punctuation, kana, bopomofo, ideographs
    "\ua960-\ua97f\uac00-\ud7ff"  # hangul
    "\uf900-\ufaff\ufe30-\ufe4f"  # compatibility ideographs and forms
    "\uff00-\uffef"  # fullwidth and halfwidth forms
    "\U0001f000-\U0001faff"  # emoji
    "\U00020000-\U0003ffff"  # further ideographs
    "]+"
)


def estimate(text: str) -> int:
    """About one token for each CJK, kana, hangul or fullwidth character, and for each four others."""
    wide = 0 if text.isascii() else sum(map(len, _WIDE.findall(text)))
    return wide - (wide - len(text)) // _CHARACTERS_A_TOKEN


def reported(value: object) -> int | None:
    """A count as somebody else gives it, brought into range; None where it is no count."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(0, min(value, MOST_TOKENS))
