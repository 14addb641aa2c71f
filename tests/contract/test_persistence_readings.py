"""What was read in contents: it comes back to the character, whoever asks, and goes with the last file of it."""

import asyncio
import random
import threading
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.files import reading_lines, readings
from adapters.database.transactions import DatabaseTransactions
from application.ports.persistence import Transaction
from domain.files.documents import Heading, Page, ParsedDocument, Reading, Table, Unreadable
from domain.ids import new_id
from stored import NOW, registered, seconds, sha256_of, uploaded

PARSER = "pdf/1"
# Everything that a Python string can hold. Not st.text: of these it would hardly ever choose the odd ones.
ODD = st.sampled_from('\x00\ud83d\ude00\ufffd"\\\u2028🙂')
TEXTS = st.lists(st.characters(exclude_categories=()) | ODD, max_size=30).map("".join)
OFFSETS = st.integers(0, 2**40)
DOCUMENTS = st.builds(
    ParsedDocument,
    TEXTS,
    st.lists(st.builds(Page, OFFSETS, TEXTS, OFFSETS, OFFSETS), max_size=3).map(tuple),
    st.lists(st.builds(Heading, st.integers(1, 6), TEXTS, OFFSETS), max_size=3).map(tuple),
    st.lists(st.builds(Table, OFFSETS, OFFSETS), max_size=3).map(tuple),
    st.none() | TEXTS,
)
READINGS = DOCUMENTS | st.builds(Unreadable, TEXTS, TEXTS)


def storable(value: Any) -> Any:
    """With "?" for each unpaired surrogate, one character for one."""
    if isinstance(value, str):
        return "".join("?" if "\ud800" <= char <= "\udfff" else char for char in value)
    if isinstance(value, tuple):
        return tuple(map(storable, value))
    if isinstance(value, int | None):
        return value
    return type(value)(*(storable(getattr(value, name)) for name in value.__match_args__))


async def put(transactions: DatabaseTransactions, sha256: str, reading: Reading, parser: str = PARSER) -> None:
    async with transactions.autocommit() as tx:
        await tx.readings.put(sha256, parser, reading)


async def get(transactions: DatabaseTransactions, sha256: str, parser: str = PARSER) -> Reading | None:
    async with transactions.autocommit() as tx:
        return (await tx.readings.get([sha256], parser)).get(sha256)


@settings(max_examples=150)
@given(reading=READINGS)
async def test_any_reading_comes_back_to_the_character(transactions: DatabaseTransactions, reading: Reading) -> None:
    sha256 = sha256_of(new_id())
    await put(transactions, sha256, reading)
    found = await get(transactions, sha256)
    assert found == storable(reading)
    if isinstance(reading, ParsedDocument):
        assert isinstance(found, ParsedDocument)
        assert len(found.text) == len(reading.text)


@settings(max_examples=40)
@given(
    reading=DOCUMENTS, long=st.integers(reading_lines.LITTLE - 99, 3 * reading_lines.LITTLE), marks=st.integers(0, 1200)
)
async def test_long_readings_come_back_to_the_character_too(
    transactions: DatabaseTransactions, reading: ParsedDocument, long: int, marks: int
) -> None:
    more = tuple(Heading(1, f"{number}\n", number) for number in range(marks))
    long_one = replace(reading, text=(reading.text or "x") * long, headings=reading.headings + more)
    sha256 = sha256_of(new_id())
    await put(transactions, sha256, long_one)
    assert await get(transactions, sha256) == storable(long_one)


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is encoded and decoded, and in which thread."""
    seen: list[tuple[str, int]] = []

    def noted(name: str, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def does(given: Any) -> Any:
            seen.append((name, threading.get_ident()))
            return work(given)

        return does

    for name in ("to_bytes", "from_bytes"):
        monkeypatch.setattr(readings, name, noted(name, getattr(reading_lines, name)))
    return seen


def long_one() -> ParsedDocument:
    chance = random.Random(5)
    words = ["".join(chr(chance.randint(0x4E00, 0x9FA5)) for _ in range(12)) for _ in range(9000)]
    headings = tuple(Heading(1, f"{number} {words[number] * 20}", number) for number in range(5000))
    marks = tuple(Table(number, number + 1) for number in range(5000))
    return ParsedDocument("".join(chance.choices(words, k=60_000)), (), headings, marks)


async def test_a_long_reading_holds_up_nobody(
    transactions: DatabaseTransactions, at_work: list[tuple[str, int]]
) -> None:
    """It is encoded and decoded in threads; a short one is not worth waking one."""
    here = threading.get_ident()
    for sha256, reading, is_here in (("a", long_one(), False), ("b", ParsedDocument("short"), True)):
        await put(transactions, sha256, reading)
        assert await get(transactions, sha256) == reading
        assert [name for name, _thread in at_work] == ["to_bytes", "from_bytes"]
        assert all((thread == here) == is_here for _name, thread in at_work)
        at_work.clear()


def test_a_long_reading_is_many_short_lines() -> None:
    """While one is encoded or decoded, no other thread of the process runs, whichever does it."""
    lines = zlib.decompress(reading_lines.to_bytes(long_one())).splitlines()
    assert sum(map(len, lines)) > 5_000_000
    assert max(map(len, lines)) < 1_600_000


async def test_a_small_file_takes_little_room_however_much_is_read_in_it(transactions: DatabaseTransactions) -> None:
    reading = ParsedDocument(
        "一个人可以走很远的路，" * 450_000, (), tuple(Heading(1, "题" * 290, 9) for _ in range(20_000))
    )
    await put(transactions, "a", reading)
    assert await get(transactions, "a") == reading
    assert len(reading_lines.to_bytes(reading)) < 300_000


@settings(max_examples=50)
@given(before=TEXTS, marked=TEXTS, after=TEXTS)
async def test_offsets_mean_the_same_characters(
    transactions: DatabaseTransactions, before: str, marked: str, after: str
) -> None:
    sha256, end = sha256_of(new_id()), len(before) + len(marked)
    page = Page(1, "page 1", len(before), end)
    await put(transactions, sha256, ParsedDocument(before + marked + after, (page,)))
    found = await get(transactions, sha256)
    assert isinstance(found, ParsedDocument)
    assert found.text[found.pages[0].start : found.pages[0].end] == storable(marked)


@pytest.mark.parametrize("bit", ["plain text ", "张三李四王五赵六\n", '\x00\x01"\\', "a\udc80🙂"])
async def test_a_huge_text_comes_back(transactions: DatabaseTransactions, bit: str) -> None:
    text = bit * (5_000_000 // len(bit) + 1)
    pages = tuple(Page(number, f"page {number}", number * 100, number * 100 + 99) for number in range(2000))
    await put(transactions, "a", ParsedDocument(text, pages))
    found = await get(transactions, "a")
    assert found == ParsedDocument(text.replace("\udc80", "?"), pages)


async def test_the_first_reading_stays(transactions: DatabaseTransactions) -> None:
    first = Unreadable("file_encrypted", "is locked with a password")
    await put(transactions, "a", first)
    await put(transactions, "a", ParsedDocument("another"))
    assert await get(transactions, "a") == first


async def test_of_many_readings_at_once_one_stays(transactions: DatabaseTransactions) -> None:
    texts = [ParsedDocument(str(number)) for number in range(20)]
    await asyncio.gather(*(put(transactions, "a", one) for one in texts))
    found = [await get(transactions, "a") for _ in range(3)]
    assert found[0] in texts
    assert found == [found[0]] * 3


async def test_a_reading_belongs_to_its_content_and_its_parser(transactions: DatabaseTransactions) -> None:
    for sha256, parser in (("a", "pdf/1"), ("a", "pdf/2"), ("b", "pdf/1")):
        await put(transactions, sha256, ParsedDocument(f"{sha256} by {parser}"), parser)
    async with transactions.autocommit() as tx:
        found = await tx.readings.get(["a", "b", "a", "unknown"], "pdf/1")
        assert found == {one: ParsedDocument(f"{one} by pdf/1") for one in "ab"}
        assert await tx.readings.get(["b"], "pdf/2") == {}
        assert await tx.readings.get([], "pdf/1") == {}


async def test_a_reading_goes_when_nobody_has_a_file_of_its_content(transactions: DatabaseTransactions) -> None:
    """Removed, of a deleted account, or never uploaded: gone. Somebody else's file of the same bytes keeps it."""
    owner, other, leaving = [await registered(transactions) for _ in range(3)]
    removed, shared, kept, left, never = map(sha256_of, ("removed", "shared", "kept", "left", "never"))
    async with transactions.autocommit() as tx:
        for sha256 in (removed, shared):
            one = await uploaded(transactions, owner, sha256=sha256)
            await tx.files.remove(one.file_id, NOW, owner=owner)
        for someone, sha256 in ((other, shared), (owner, kept), (owner, kept), (leaving, left)):
            await uploaded(transactions, someone, sha256=sha256)
        await tx.users.remove(leaving)
        for sha256 in (removed, shared, kept, left, never):
            for parser in ("pdf/1", "pdf/2"):
                await tx.readings.put(sha256, parser, ParsedDocument(sha256))
        assert await tx.readings.remove_unused(99) == 6
        assert await tx.readings.remove_unused(99) == 0
        for parser in ("pdf/1", "pdf/2"):
            found = await tx.readings.get([removed, shared, kept, left, never], parser)
            assert found == {sha256: ParsedDocument(sha256) for sha256 in (shared, kept)}


async def test_a_reading_goes_also_when_its_files_were_forgotten(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one = await uploaded(transactions, owner)
    async with transactions.autocommit() as tx:
        await tx.files.remove(one.file_id, NOW, owner=owner)
        await tx.files.emptied([one.file_id])
        assert await tx.files.forget(seconds(9), 9) == 1
        await tx.readings.put(one.sha256, PARSER, ParsedDocument("late"))
        assert await tx.readings.remove_unused(9) == 1


@settings(max_examples=15)
@given(unused=st.integers(0, 7), used=st.integers(0, 7), limit=st.integers(1, 4))
async def test_no_more_are_dropped_than_asked_and_in_the_end_all(
    transactions: DatabaseTransactions, unused: int, used: int, limit: int
) -> None:
    owner = await registered(transactions)
    contents = [sha256_of(new_id()) for _ in range(used)]
    async with transactions.autocommit() as tx:
        for sha256 in contents:
            await uploaded(transactions, owner, sha256=sha256)
        for sha256 in [*contents, *(sha256_of(new_id()) for _ in range(unused))]:
            await tx.readings.put(sha256, PARSER, ParsedDocument(""))
        dropped = [await tx.readings.remove_unused(limit) for _ in range(unused + 1)]
        assert max(dropped) <= limit
        assert sum(dropped) == unused
        assert set(await tx.readings.get(contents, PARSER)) == set(contents)


async def test_several_that_drop_at_once_drop_each_once(transactions: DatabaseTransactions) -> None:
    for number in range(30):
        await put(transactions, sha256_of(str(number)), ParsedDocument(""))

    async def drop() -> int:
        async with transactions.autocommit() as tx:
            return await tx.readings.remove_unused(30)

    assert sum(await asyncio.gather(*(drop() for _ in range(6)))) == 30


async def test_each_call_is_one_statement(transactions: DatabaseTransactions, statements: list[str]) -> None:
    calls: list[Callable[[Transaction], Awaitable[Any]]] = [
        lambda tx: tx.readings.put("a", PARSER, ParsedDocument("text")),
        lambda tx: tx.readings.get(["a", "b"], PARSER),
        lambda tx: tx.readings.remove_unused(9),
    ]
    async with transactions.autocommit() as tx:
        for call in calls:
            statements.clear()
            await call(tx)
            assert len(statements) == 1
