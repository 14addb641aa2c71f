"""Which sentences are not remembered because they may hold a secret, and which are."""

import time

import pytest

from domain.memory.memories import sentence
from domain.memory.told_secrets import holds_secret


@pytest.mark.parametrize(
    "text",
    [
        "The user's passwords are tulip and rose.",
        "The user's pass phrase is correct horse.",
        "The user's pass-word: tulip",
        "The user's bank PIN: 4321",
        "The user's pin is 4321.",
        "The user's PIN 4321 opens it.",
        "The user's PIN code is 4321.",
        "The user's SSN is 123-45-6789.",
        "The user's number is 123-45-6789.",
        "The user pays from DE89 3704 0044 0532 0130 00.",
        "The user pays from gb82west12345698765432 in London.",
        "The user's IBAN ends with 00.",
        "The user's pw is hunter2.",
        "The user's pwd: hunter2",
        "The user's login code is hunter2.",
        "The user's door code is 1234.",
        "The user's credentials are ann and tulip.",
        "The user's Telegram token is tulip.",
        "123456789:AAHdqTcvCHXvGWJxfSeofSAsXKXPALDsaw belongs to the user.",
        "Пароль пользователя: зима2024",
        "Пользователь сказал, что его паролем будет зима.",
        "ПИН-код пользователя 4321",
        "ユーザーのパスワードは hana です。",
        "ユーザーの暗証番号は4321です。",
        "사용자의 비밀번호는 hana입니다.",
        "用戶的密碼是 hana。",
        "Das Passwort des Nutzers ist Tulpe.",
        "A senha do usuário é tulipa.",
    ],
)
def test_a_secret_in_whatever_words_is_not_remembered(text: str) -> None:
    assert holds_secret(text)
    assert sentence(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The user's PIN code is secret.",
        "The user writes a password manager in Rust.",
        "The user works on password security.",
        "The user collects enamel pins and plays pinball.",
        "The user loves The Secret Garden.",
        "The user's compass is broken.",
        "The user passes words on to friends.",
        "The user counts tokens of language models.",
        "The user works at the social office and codes in Python.",
        "The user was born on 1990-05-03.",
        "The user's phone is +1 555-123-4567.",
        "The user flies with flight DE89 to Rome each May.",
        "The user sits in room AB12 Main Hall East Wing.",
        "The user lives at 12345 Main Street.",
        "Пользователь живёт в Париже и любит парки.",
        "ユーザーはパスタが好きです。",
        "用户喜欢密林和口琴。",
    ],
)
def test_what_only_sounds_like_one_is(text: str) -> None:
    assert sentence(text) == text


def test_hostile_text_costs_little() -> None:
    began = time.process_time()
    for text in ("pass " * 60, "DE89 " * 60, "pin " + ": " * 140, "1-" * 150, "A" * 300, "密" * 300):
        for _ in range(20):
            holds_secret(text)
    assert time.process_time() - began < 2
