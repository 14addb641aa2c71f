"""What looks like a secret in a sentence: keys, passwords, numbers of cards. Nobody wants that remembered."""

import re
import unicodedata
from typing import Final

_MARKED: Final = re.compile(
    r"\b(?:sk|pk|rk|ak|ghp|gho|ghs|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{8,}"
    r"|\bgithub_pat_\w{8,}|\bA(?:KI|SI)A[A-Z0-9]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{4,}"
    r"|-----BEGIN |\b[a-z][a-z0-9+.-]{1,20}://[^\s/@:]*:[^\s/@]+@|\b\d{8,10}:[\w-]{30,}",
)
_NAMED: Final = re.compile(
    r"\b(?:pass[ -]?(?:words?|wd|phrases?|codes?|keys?)|pwd?(?= ?[:=]| is\b| ?\d)|credentials?|"
    r"pin(?: ?(?:code|number|no\.?)s?\b|[ :=]*(?:is|are|was)?[ :=]*\d{3,})|cvv2?|cvc2?|tan code|"
    r"(?:api|access|private|secret|encryption|license|recovery|wallet)[ _-]?keys?|secret(?!s? (?:garden|santa|agent))|"
    r"(?:access|auth|bearer|refresh|api|bot|session)[ _-]?tokens?|token is|"
    r"(?:seed|recovery|mnemonic) (?:phrase|word|code)s?|"
    r"(?:log-?in|access|security|verification|confirmation|one[ -]time|unlock|door|gate|safe|alarm|backup|2fa|otp)"
    r" codes?|otp is|social security|ssn|iban|passport (?:number|no)|"
    r"(?:account|card|routing) (?:number|no)s?|passwort|passw\u00f6rter|kennwort|kennw\u00f6rter|"
    r"contrase\u00f1as?|mots? de passe|senhas?|parola d'ordine|wachtwoord|has\u0142o|\u015fifre)\b"
    r"|\b(?:\u043f\u0430\u0440\u043e\u043b|\u043f\u0438\u043d-?\u043a\u043e\u0434|"
    r"\u043a\u043e\u0434\u043e\u0432\w+ \u0441\u043b\u043e\u0432|"
    r"\u0441\u0435\u043a\u0440\u0435\u0442\u043d\w+ \u043a\u043b\u044e\u0447)"
    r"|\u30d1\u30b9(?:\u30ef\u30fc\u30c9|\u30b3\u30fc\u30c9|\u30d5\u30ec\u30fc\u30ba)|\u6697\u8a3c\u756a\u53f7|\u5408\u8a00\u8449|"
    r"\ube44\ubc00\ubc88\ud638|\uc554\ud638|\u5bc6[\u7801\u78bc]|\u53e3\u4ee4|\u5bc6[\u94a5\u9470]|"
    r"\u9a8c\u8bc1\u7801|\u9a57\u8b49\u78bc|\u52a9[\u8bb0\u8a18]\u8bcd",
    re.IGNORECASE,
)
_HARMLESS: Final = re.compile(
    r"\bpassword (?:managers?|policy|policies|security|hygiene|generators?|resets?)\b"
    r"|\bpin (?:code|number) is (?:secret|private|safe)\b",
    re.IGNORECASE,
)
_SOCIAL_SECURITY: Final = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4}(?![\d-])")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d(?:[ .-]?\d){12,18}(?!\d)")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/_=-]{20,}")


def holds_secret(text: str) -> bool:
    """Also where it only may be one: what is forgotten in vain costs less than what is kept."""
    plain = unicodedata.normalize("NFKC", text)
    if _MARKED.search(plain) or _NAMED.search(_HARMLESS.sub("", plain)) or _SOCIAL_SECURITY.search(plain):
        return True
    if any(_is_account(found[0]) for found in _IBAN.finditer(plain)):
        return True
    if any(_is_card(found[0]) for found in _DIGITS.finditer(plain)):
        return True
    return any(_is_random(word) for word in _LONG_WORD.findall(plain))


def _is_account(found: str) -> bool:
    """By the check digits of bank accounts. What stands behind the number may look like a part of it."""
    groups = found.upper().split()
    parts = ("".join(groups[:count]) for count in range(1, len(groups) + 1))
    return any(
        len(one) >= 15 and int("".join(str(int(sign, 36)) for sign in one[4:] + one[:4])) % 97 == 1 for one in parts
    )


def _is_card(found: str) -> bool:
    """By the check digit of cards (Luhn)."""
    digits = [int(one) for one in found if one.isdigit()]
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_random(word: str) -> bool:
    """Letters and some digits in one piece, as in keys."""
    return sum(map(str.isdigit, word)) >= 3 and sum(map(str.isalpha, word)) >= 3
