"""What looks like a secret in a sentence: keys, passwords, numbers of cards. Nobody wants that remembered."""

import re
import unicodedata
from typing import Final

_MARKED: Final = re.compile(
    r"\b(?:sk|pk|rk|ak|ghp|gho|ghs|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{8,}"
    r"|\bgithub_pat_\w{8,}|\bA(?:KI|SI)A[A-Z0-9]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{4,}"
    r"|-----BEGIN |\b[a-z][a-z0-9+.-]{1,20}://[^\s/@:]*:[^\s/@]+@",
)
_NAMED: Final = re.compile(
    r"\b(?:password|passwd|passphrase|passcode|pin (?:code|number|is)|cvv|cvc|api[ _-]?key|secret(?: key)?|"
    r"access token|private key|seed phrase|recovery (?:phrase|code)|passwort|kennwort|contrase\u00f1a|mot de passe)\b"
    r"|\u5bc6\u7801|\u53e3\u4ee4|\u5bc6\u94a5|\u9a8c\u8bc1\u7801|\u52a9\u8bb0\u8bcd",
    re.IGNORECASE,
)
_DIGITS: Final = re.compile(r"\d(?:[ .-]?\d){12,18}(?!\d)")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/_=-]{20,}")


def holds_secret(text: str) -> bool:
    """Also where it only may be one: what is forgotten in vain costs less than what is kept."""
    plain = unicodedata.normalize("NFKC", text)
    if _MARKED.search(plain) or _NAMED.search(plain):
        return True
    if any(_is_card(found[0]) for found in _DIGITS.finditer(plain)):
        return True
    return any(_is_random(word) for word in _LONG_WORD.findall(plain))


def _is_card(found: str) -> bool:
    """By the check digit of cards (Luhn)."""
    digits = [int(one) for one in found if one.isdigit()]
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_random(word: str) -> bool:
    """Letters and some digits in one piece, as in keys."""
    return sum(map(str.isdigit, word)) >= 3 and sum(map(str.isalpha, word)) >= 3
