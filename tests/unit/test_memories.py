"""What becomes of memories: one list of operations leads to one end, and no secret is among them."""

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MemoryId, MessageId
from domain.memory.memories import LONGEST, Again, Changes, Known, Note, Operation, likeness, merged, sentence
from domain.memory.told_secrets import holds_secret
from stored import NOW

TEXTS = st.sampled_from(["Likes tea.", "likes  TEA", "Likes coffee.", "Lives in Rome.", "Lives in Bath.", "Is Ann."])
IDS = st.sampled_from([MemoryId(f"k{number}") for number in range(8)])
SAID = st.sampled_from([MessageId("m1"), MessageId("m2")])
OPERATIONS = st.lists(
    st.builds(Note, TEXTS, SAID, st.lists(IDS, max_size=3).map(tuple)) | st.builds(Again, IDS, SAID), max_size=8
)


@st.composite
def memories(draw: st.DrawFn) -> list[Known]:
    """As they are after any lessons: no two alike."""
    texts = draw(st.lists(TEXTS, unique_by=likeness, max_size=6))
    ages = draw(st.permutations(range(len(texts))))
    return [
        Known(MemoryId(f"k{number}"), text, NOW + timedelta(seconds=age))
        for number, (text, age) in enumerate(zip(texts, ages, strict=True))
    ]


def after(known: list[Known], changes: Changes, seconds: int = 100) -> list[Known]:
    """As a database has them."""
    now = NOW + timedelta(seconds=seconds)
    left = [
        Known(one.memory_id, one.content, now if one.memory_id in changes.confirmed else one.useful_at)
        for one in known
        if one.memory_id not in changes.removed
    ]
    return [*left, *(Known(one.memory_id, one.content, now) for one in changes.added)]


def merge(known: list[Known], operations: list[Operation], most: int = 200) -> Changes:
    numbers = count()
    return merged(known, operations, lambda: MemoryId(f"n{next(numbers)}"), most=most)


@given(memories(), OPERATIONS)
def test_what_is_told_again_changes_nothing(known: list[Known], operations: list[Operation]) -> None:
    once = after(known, merge(known, operations))
    again = merge(once, operations)
    assert (again.added, again.removed) == ((), ())
    assert [one.content for one in after(once, again)] == [one.content for one in once]


@given(memories(), OPERATIONS)
def test_what_is_said_is_known_and_no_two_are_alike(known: list[Known], operations: list[Operation]) -> None:
    changes = merge(known, operations)
    then = after(known, changes)
    keys = [likeness(one.content) for one in then]
    assert len(keys) == len(set(keys))
    assert {likeness(one.text) for one in operations if isinstance(one, Note)} <= set(keys)
    named = {memory_id for one in operations if isinstance(one, Note) for memory_id in one.instead}
    assert set(changes.removed) <= named
    assert not set(changes.confirmed) & set(changes.removed)


@given(memories(), OPERATIONS, st.integers(6, 8))
def test_there_are_never_too_many_and_what_was_of_use_lately_stays(
    known: list[Known], operations: list[Operation], most: int
) -> None:
    then = after(known, merge(known, operations, most))
    assert len(then) <= most
    crowd = [Known(MemoryId(f"c{number}"), f"Fact {number}.", NOW - timedelta(days=number + 1)) for number in range(9)]
    changes = merge([*known, *crowd], operations, most=12)
    left = after([*known, *crowd], changes)
    assert len(left) <= 12
    gone = [one.memory_id for one in crowd if one.memory_id in changes.removed]
    assert gone == [f"c{number}" for number in range(9 - len(gone), 9)]


def test_what_was_spoken_of_outlasts_what_was_not() -> None:
    known = [Known(MemoryId(f"k{number}"), f"Fact {number}.", NOW + timedelta(number)) for number in range(3)]
    note = Note("New.", MessageId("m"))
    changes = merged(known, [note], lambda: MemoryId("n"), useful={MemoryId("k0")}, most=3)
    assert (changes.removed, changes.useful) == (("k1",), ("k0",))


def test_a_contradiction_takes_the_place_of_what_it_contradicts() -> None:
    known = [Known(MemoryId("k"), "Lives in Rome.", NOW), Known(MemoryId("l"), "Is Ann.", NOW)]
    changes = merge(known, [Note("Lives in Bath.", MessageId("m"), (MemoryId("k"),))])
    assert [(one.content, one.message_id) for one in changes.added] == [("Lives in Bath.", "m")]
    assert changes.removed == ("k",)


@given(st.text(max_size=400))
def test_a_sentence_is_one_storable_line_or_nothing(text: str) -> None:
    made = sentence(text)
    if made is not None:
        assert 2 <= len(made) <= LONGEST
        assert made.splitlines() == [made]
        assert made.encode()
        assert "\x00" not in made
        assert sentence(made) == made


@pytest.mark.parametrize(
    "text",
    [
        "The user's key is sk-proj-abcdefgh12345678.",
        "The user's card is 4111 1111 1111 1111.",
        "The user's card is 5500-0055-5555-5559.",
        "The user's password is tulip.",
        "用户的密码是郁金香。",
        "The key is ghp_16C7e42F292c6912E7710c838347Ae178B4a.",
        "Signs with eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "Uses AKIAIOSFODNN7EXAMPLE.",
        "Connects to postgres://ann:tulip@db.example/x",
        "Token d131dd02c5e6eec4693d9a0698aff95c is theirs.",
        "-----BEGIN PRIVATE KEY-----",
        "The user's PIN is 1234.",
        "The user's card is ４１１１１１１１１１１１１１１１.",
    ],
)
def test_what_looks_like_a_secret_is_not_remembered(text: str) -> None:
    assert holds_secret(text)
    assert sentence(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The user lives in Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch.",
        "The user was born on 1990-05-03 and likes 80s music.",
        "The user's phone is +49 30 1234567.",
        "用户喜欢在2026年去旅行，住在北京市朝阳区。",
        "The user prefers short answers with sources.",
        "The user keeps a family of 3 cats: 👨\u200d👩\u200d👧.",
    ],
)
def test_what_people_say_of_themselves_is(text: str) -> None:
    assert sentence(text) == text


def test_a_script_keeps_its_joiners_and_hidden_marks_go() -> None:
    assert sentence("می\u200cخواهم\u202e چای") == "می\u200cخواهم چای"
    assert sentence("a\x00b") is None
    assert sentence("\ud800 tea") is None
    assert sentence("...") is None
    assert sentence("x" * (LONGEST + 1)) is None
    assert sentence(" " * 10**7) is None
