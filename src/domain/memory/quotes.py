"""Whether a quote bears out a note about the user: a look at words, which keeps out what has nothing to do with what
they wrote. It proves no more than that they wrote these words.
"""

import re
import unicodedata
from typing import Final

from domain.knowledge.lexical import terms
from domain.memory.memories import likeness

_LEAST_WORDS: Final = 3
_LONGEST_REPLY: Final = 4
"""Words of a yes or no."""
_SHORTEST_STEM: Final = 4
_WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_SENTENCE_END: Final = re.compile(r"[.!:]\s+|[\u3002\uff01\uff1f?\n]+")
_REPLIES: Final = re.compile(
    r"(?:yes|yeah|yep|yup|yea|sure|correct|right|exactly|indeed|true|absolutely|definitely|of course|that s right|"
    r"no|nope|not|never|false|wrong|ja|nein|oui|non|s\u00ed|si|da|\u0434\u0430|\u043d\u0435\u0442)(?: |$)"
    r"|(?:\u662f|\u5bf9|\u5c0d|\u6ca1\u9519|\u6c92\u932f|\u55ef|\u597d|\u4e0d|\u6ca1\u6709|\u5f53\u7136|\u306f\u3044|"
    r"\u3044\u3044\u3048|\u305d\u3046|\ub124|\uc608|\uc544\ub2c8)"
)
# What stands in notes about anybody says nothing of whether this one was said.
_COMMON: Final = (
    "a about also always am an and any are as at be been but by can could did do does don every for from get go had "
    "has have he her him his i if in into is it just know like live ll love m me mine my name need never no not of on "
    "or our please prefer re really reply s said say she should so t tell that the their them these they this those "
    "to user very want was we were what when where who will with would you your yours answer asked called told "
    "用户 户的 我的 喜欢 户喜 我喜 户是 我是 名字 的 我 是"
)
_COMMON_TERMS: Final = frozenset(_COMMON.split())


def bears_out(quote: str, said: str, before: str, note: str) -> bool:
    """Whether the user wrote `quote` in `said`, and `note` speaks of it.

    A quote is of several words, or the whole message. Who says but yes or no to a question that ended `before` is
    quoted with the question.
    """
    quoted, whole = bare(quote), bare(said)
    if not quoted or quoted not in whole or not (quoted == whole or _count(quote) >= _LEAST_WORDS):
        return False
    about = _content(note)
    return _shared(about, _content(quote)) or (_is_reply(said) and _shared(about, _content(_question(before))))


def bare(text: str) -> str:
    """Letters and digits alone: models change quotation marks, spaces and case where they copy."""
    return "".join(one for one in unicodedata.normalize("NFKC", text).casefold() if one.isalnum())


def _count(text: str) -> int:
    """Of words; in scripts without spaces, of signs."""
    words = likeness(_WIDE.sub(lambda sign: f" {sign[0]} ", text)).split()
    return sum(1 if word.isascii() else max(1, len(word) // 4) for word in words)


def _content(text: str) -> set[str]:
    return set(terms(text)) - _COMMON_TERMS


def _shared(some: set[str], others: set[str]) -> bool:
    return not some.isdisjoint(others) or any(_alike(one, other) for one in some for other in others)


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= _SHORTEST_STEM and long.startswith(short)


def _is_reply(said: str) -> bool:
    plain = likeness(said[:200])
    return _count(said[:200]) <= _LONGEST_REPLY and _REPLIES.match(plain) is not None


def _question(before: str) -> str:
    """The last sentence, if it asks something."""
    text = before.rstrip(" \n*_\"'\u201d\u2019)")
    return _SENTENCE_END.split(text[:-1])[-1] if text.endswith(("?", "\uff1f")) else ""
