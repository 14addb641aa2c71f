"""What is taken as text when it is uploaded is read later: two places look at the same bytes, and agree."""

import io
import random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from adapters.documents.child import answer_to
from adapters.documents.encodings import decoded
from adapters.documents.limits import ParserLimits
from adapters.documents.messages import Parsed, Question, Refused
from application.ports.document_parser import DocumentRefused
from domain.errors import DomainError
from domain.files.file_kinds import KindSniffer
from domain.files.files import FileKind

NAMES = {"a.txt": "txt", "a.md": "md", "a.csv": "csv", "a.json": "json", "a.html": "html"}
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "cp1252", "latin-1", "shift-jis", "big5"),
    *("euc-kr", "euc-jp", "cp1251", "koi8-r", "cp437", "mac-roman", "iso-8859-7", "cp1256", "utf-7", "hz"),
)
LINES = (
    *(
        "The quick brown fox, 12 of them.",
        "Größe, façade, niño – “so”",
        "第一章 人工智能的发展，一二三。",
        "これは日本語の文です。",
    ),
    *(
        "한국어 문장입니다.",
        "Это русский текст.",
        "Ελληνικό κείμενο.",
        "نص عربي",
        "\U0001f600\U0001fae9",
        "\ue000\uf8ff\ue0a0",
    ),
    *(
        "═══╗ ░▒▓",
        "\u0378\u0379",
        "一一一丁七万",
        "\u0a00\u0d00",
        "Ω≈ç√∫˜µ≤≥÷",
        "\x85\x9b",
        "<p>x",
        '{"a": 1}',
        "a;b;c",
        "| a | b |",
    ),
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(LINES), min_size=1, max_size=12).map("\n".join),
    st.text(max_size=60),
    st.builds(lambda piece, times: piece * times, st.text(min_size=1, max_size=6), st.integers(1, 900)),
)
BYTES = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda text, encoding: text.encode(encoding, "ignore"), TEXTS, st.sampled_from(ENCODINGS)),
    # Every byte that text may have, in any order.
    st.lists(st.sampled_from([9, 10, 12, 13, 27, *range(32, 127), *range(128, 256)]), max_size=300).map(bytes),
    st.lists(st.integers(0x80, 0xFF), max_size=300).map(bytes),
)
CONTENTS = st.one_of(
    BYTES,
    st.lists(BYTES, max_size=4).map(b"".join),
    st.builds(lambda content, less: content[: max(0, len(content) - less)], BYTES, st.integers(0, 3)),
    st.builds(bytes.__add__, st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"<html>", b"{"]), BYTES),
)
CHARSETS = (*ENCODINGS, "unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "utf-32", "rot13", "x")


def kind_of(content: bytes, name: str) -> FileKind | None:
    sniffer = KindSniffer(name)
    try:
        sniffer.feed(content)
        return sniffer.kind()
    except DomainError:
        return None


def code_of(content: bytes, kind: FileKind) -> str | None:
    match answer_to(Question(1, "parse", kind.value), io.BytesIO(content), ParserLimits(max_chars=100_000)):
        case Parsed():
            return None
        case Refused(code=code):
            return code
        case answer:
            raise AssertionError(answer)


@given(CONTENTS, st.sampled_from(sorted(NAMES)))
@example("\ue000\uf8ff".encode() * 300, "a.txt")
@example("Ünï 中文\n".encode("utf-16-le") + b"x", "a.txt")
@example(b"\xef\xbb\xbf" + "Größe".encode("latin-1") * 9, "a.md")
@example(bytes(range(0x80, 0x100)) * 9, "a.txt")
@example("これは日本語の文です。".encode("shift-jis") * 30, "a.csv")
@example("\ufeff\u0378\n".encode("utf-16-be") * 30, "a.txt")
def test_what_is_taken_as_text_is_read(content: bytes, name: str) -> None:
    if kind_of(content, name) == NAMES[name]:
        assert code_of(content, FileKind(NAMES[name])) in {None, "file_empty"}


@given(CONTENTS, st.sampled_from(CHARSETS))
def test_a_page_is_read_whatever_it_says_of_its_encoding(content: bytes, charset: str) -> None:
    page = b'<html><meta charset="%s"><p>text\\ud800 ' % charset.encode() + content
    if kind_of(page, "") == FileKind.HTML:
        assert code_of(page, FileKind.HTML) in {None, "file_empty"}


@given(st.integers(0, 2**32), st.integers(0, 1100), st.integers(1, 40), st.booleans())
def test_text_of_two_bytes_is_read_though_only_its_beginning_shows_it(
    seed: int, clean: int, noisy: int, little: bool
) -> None:
    """Odd characters that are allowed follow a beginning that is beyond doubt."""
    chance = random.Random(seed)
    text = "Plain words.\n" * (1 + clean // 13) + "".join(
        chr(chance.randint(0xE000, 0xF8FF)) for _ in range(noisy * 20)
    )
    content = text.encode("utf-16-le" if little else "utf-16-be")
    assume(kind_of(content, "a.txt") == FileKind.TEXT)
    assert code_of(content, FileKind.TEXT) is None


@given(CONTENTS)
def test_what_the_reader_refuses_was_refused_at_upload(content: bytes) -> None:
    try:
        decoded(content)
    except DocumentRefused:
        assert kind_of(content, "a.txt") is not FileKind.TEXT


WRITTEN = (
    "The quick brown fox jumps over the lazy dog.\r\n\tTwice, 1 and 2.\n",
    "第一章\n人工智能的发展，一二三，我们的时代。\n",
    "Größe, façade, niño.\n",
    "Это русский текст, и не очень короткий.\n",
)


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("times", [1, 40, 500])
def test_what_people_write_is_taken_and_read_as_it_is(text: str, encoding: str, times: int) -> None:
    content = (text * times).encode(encoding)
    assert kind_of(content, "a.txt") == FileKind.TEXT
    if encoding != "gb18030" or text == WRITTEN[1]:
        assert decoded(content).removeprefix("\ufeff") == text * times


@given(st.integers(0, 200), st.sampled_from([WRITTEN[1] * 5, WRITTEN[3] * 5, "Größe und Maß. " * 9]))
def test_a_torn_character_does_not_spoil_the_others(place: int, text: str) -> None:
    """As a copy over a bad line, or a program that cuts by bytes, leaves it."""
    content = text.encode()
    torn = next(at for at in range(place % len(content), 2 * len(content)) if content[at % len(content)] >= 0xC0)
    torn %= len(content)
    read = decoded(content[:torn] + content[torn + 1 :])
    assert read.replace("\ufffd", "") in {text[:at] + text[at + 1 :] for at in range(len(text))}
