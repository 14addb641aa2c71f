"""The children of the parser: they are few, they end when they must, and the parent believes them nothing."""

import asyncio
import gc
import logging
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.documents.answers import is_long, is_proper
from adapters.documents.child_parsers import ChildParsers
from adapters.documents.limits import ParserLimits
from adapters.documents.messages import Answer, Parsed, Task
from application.ports.document_parser import DocumentRefused
from documents_corpus import lying_child
from documents_corpus.corpus_pdf import doubling, unpacking
from documents_corpus.corpus_text import deep_page
from documents_corpus.document_feed import chunks
from domain.errors import Unavailable
from domain.files.documents import Heading, ParsedDocument, Table
from domain.files.files import FileKind
from patience import PATIENCE

FOR_MINUTES = deep_page(300_000)
"""A page that takes its reader minutes: in a library's loop, where no signal handler of Python's is run."""


@asynccontextmanager
async def parsers(limits: ParserLimits | None = None) -> AsyncIterator[ChildParsers]:
    opened = ChildParsers(limits or ParserLimits())
    try:
        yield opened
    finally:
        await opened.aclose()
    assert opened.children == ()


async def text_of(parser: ChildParsers, text: str = "good") -> str:
    return (await parser.parse(FileKind.TEXT, chunks(text.encode()))).text


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Or dead and not buried by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_working(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"


def instead_of_children(monkeypatch: pytest.MonkeyPatch, folder: Path, command: str) -> None:
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))


async def test_what_takes_too_long_is_ended_and_said() -> None:
    async with parsers(ParserLimits(timeout_seconds=0.5, workers=1)) as parser:
        hanging = asyncio.create_task(parser.parse(FileKind.HTML, chunks(FOR_MINUTES)))
        await until(lambda: bool(parser.children))
        (child,) = parser.children
        with pytest.raises(DocumentRefused) as refused:
            await hanging
        assert (refused.value.code, refused.value.lasting) == ("file_parse_timeout", False)
        assert await text_of(parser) == "good"
        assert child not in parser.children
        await until(lambda: is_gone(child))


async def test_a_stopped_child_is_no_more_than_a_late_one() -> None:
    async with parsers(ParserLimits(timeout_seconds=1, workers=1)) as parser:
        await text_of(parser)
        (child,) = parser.children
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(DocumentRefused, match="took longer than 1 second"):
            await text_of(parser)
        assert await text_of(parser) == "good"
        await until(lambda: is_gone(child))


async def test_a_child_that_died_in_its_sleep_is_replaced_unnoticed() -> None:
    async with parsers(ParserLimits(workers=1)) as parser:
        await text_of(parser)
        (child,) = parser.children
        os.kill(child, signal.SIGKILL)
        assert await text_of(parser) == "good"
        assert parser.children != (child,)


class Signals:
    """Looks at each group that is to be killed: are they ours, or strangers who got the id of a child that is gone?"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours: list[int] = []
        self.strangers: list[int] = []
        self._kill_group = os.killpg
        monkeypatch.setattr(os, "killpg", self._seen)

    def _seen(self, group: int, number: int) -> None:
        (self.ours if Path(f"/proc/{group}").exists() else self.strangers).append(group)
        self._kill_group(group, number)


async def test_a_child_that_is_gone_is_not_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(monkeypatch)
    async with parsers(ParserLimits(workers=1)) as parser:
        await text_of(parser)
        (child,) = parser.children
        os.kill(child, signal.SIGKILL)
        await until(lambda: not Path(f"/proc/{child}").exists())
        assert await text_of(parser) == "good"
        (last,) = parser.children
    assert signals.strangers == []
    assert signals.ours == [last]


def test_a_child_is_not_signalled_either_when_the_event_loop_does_not_know_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own loop collects children in threads."""
    signals = Signals(monkeypatch)

    async def die_unnoticed() -> None:
        async with parsers(ParserLimits(workers=1)) as parser:
            await text_of(parser)
            (child,) = parser.children
            os.kill(child, signal.SIGKILL)
            latest = time.monotonic() + 5
            while Path(f"/proc/{child}").exists() and time.monotonic() < latest:
                time.sleep(0.01)
            assert await text_of(parser) == "good"

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(die_unnoticed())
    assert signals.strangers == []
    assert signals.ours


async def test_a_document_that_kills_its_reader_is_refused_not_for_ever() -> None:
    async with parsers(ParserLimits(workers=1)) as parser:
        reading = asyncio.create_task(parser.parse(FileKind.HTML, chunks(FOR_MINUTES)))
        await until(lambda: bool(parser.children))
        os.kill(parser.children[0], signal.SIGSEGV)
        with pytest.raises(DocumentRefused) as refused:
            await reading
        assert (refused.value.code, refused.value.lasting) == ("file_too_complex", False)
        assert await text_of(parser) == "good"


async def test_a_document_that_meets_a_worn_child_gets_a_new_one() -> None:
    async with parsers(ParserLimits(workers=1)) as parser:
        await text_of(parser)
        (worn,) = parser.children
        reading = asyncio.create_task(parser.parse(FileKind.HTML, chunks(deep_page(20_000))))
        await until(lambda: is_working(worn))
        os.kill(worn, signal.SIGKILL)
        assert (await reading).text == "at the bottom"


async def test_a_second_try_has_only_the_time_that_is_left() -> None:
    async with parsers(ParserLimits(workers=1, timeout_seconds=5)) as parser:
        await text_of(parser)
        (worn,) = parser.children
        began = time.monotonic()
        reading = asyncio.create_task(parser.parse(FileKind.HTML, chunks(FOR_MINUTES)))
        await asyncio.sleep(4)
        os.kill(worn, signal.SIGKILL)
        with pytest.raises(DocumentRefused) as refused:
            await reading
        assert refused.value.code == "file_parse_timeout"
        assert time.monotonic() - began < 8


async def test_cancelling_ends_the_work_and_makes_room() -> None:
    async with parsers(ParserLimits(workers=1)) as parser:
        reading = asyncio.create_task(parser.parse(FileKind.HTML, chunks(FOR_MINUTES)))
        await until(lambda: bool(parser.children))
        (child,) = parser.children
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await text_of(parser) == "good"
        await until(lambda: is_gone(child))


async def test_cancelling_at_any_moment_leaves_nobody() -> None:
    async with parsers(ParserLimits(workers=1, documents_per_child=1)) as parser:
        for moment in range(40):
            reading = asyncio.create_task(text_of(parser))
            await asyncio.sleep(moment * 0.004)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert len(parser.children) <= 1
        assert await text_of(parser) == "good"


async def test_good_documents_pass_one_that_hangs() -> None:
    async with parsers(ParserLimits(workers=2, timeout_seconds=300)) as parser:
        hanging = asyncio.create_task(parser.parse(FileKind.HTML, chunks(FOR_MINUTES)))
        await until(lambda: len(parser.children) == 1)
        async with asyncio.timeout(PATIENCE):
            texts = await asyncio.gather(*(text_of(parser, f"text {number}") for number in range(30)))
        assert texts == [f"text {number}" for number in range(30)]
        assert not hanging.done()
        assert len(parser.children) == 2
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_who_came_first_is_read_first() -> None:
    async with parsers(ParserLimits(workers=1)) as parser:
        finished: list[str] = []

        async def read(name: str) -> None:
            finished.append(await text_of(parser, name))

        await text_of(parser)
        await asyncio.gather(*(read(f"{number}") for number in range(20)))
        assert finished == [f"{number}" for number in range(20)]


async def test_a_child_ends_after_its_share() -> None:
    async with parsers(ParserLimits(workers=1, documents_per_child=3)) as parser:
        seen = []
        for _ in range(7):
            await text_of(parser)
            seen.append(parser.children)
        assert [len(pids) for pids in seen] == [1, 1, 0, 1, 1, 0, 1]
        assert len(set(seen) - {()}) == 3


async def test_a_child_is_not_blamed_for_what_its_parent_has() -> None:
    weight = bytearray(300 << 20)
    weight[::4096] = b"x" * len(weight[::4096])
    async with parsers(ParserLimits(workers=1, memory_bytes=1 << 30)) as parser:
        await text_of(parser)
        (child,) = parser.children
        await text_of(parser)
        assert parser.children == (child,)
    del weight


async def test_a_child_that_needed_much_is_not_used_again() -> None:
    async with parsers(ParserLimits(workers=1, memory_bytes=400 << 20)) as parser:
        await parser.parse(FileKind.HTML, chunks(b"<p>x" * 300_000))
        assert parser.children == ()


async def test_what_needs_too_much_memory_is_refused_and_its_child_survives_or_is_replaced() -> None:
    async with parsers(ParserLimits(workers=1, memory_bytes=160 << 20)) as parser:
        with pytest.raises(DocumentRefused) as refused:
            await parser.parse(FileKind.HTML, chunks(b"<p>x" * 1_000_000))
        assert (refused.value.code, refused.value.lasting) == ("file_too_complex", False)
        assert await text_of(parser) == "good"


@pytest.mark.parametrize(
    ("bomb", "size"), [(doubling, 9), (unpacking, 1 << 30)], ids=["forms in forms", "streams in streams"]
)
async def test_a_bomb_in_a_pdf_ends_with_its_child(bomb: Callable[[int], bytes], size: int) -> None:
    content = bomb(size)
    assert len(content) < 100_000
    async with parsers(ParserLimits(workers=1, timeout_seconds=3, memory_bytes=300 << 20)) as parser:
        with pytest.raises(DocumentRefused) as refused:
            await parser.parse(FileKind.PDF, chunks(content))
        assert refused.value.code in {"file_parse_timeout", "file_too_complex"}
        assert not refused.value.lasting
        assert await text_of(parser) == "good"


SPACES = b" " * 600_000
SLOW_FOR_PATTERNS = (
    *(b"x" + SPACES + b"x", b"# " + SPACES + b"#x", b"x\n=" + SPACES + b"x", b"|" + SPACES + b"|\n|-" + SPACES + b"x"),
    *(b"`" * 600_000, b"#" * 600_000, b"|" * 600_000, b"-" * 600_000, b"[" * 600_000, b"\\u" * 300_000),
    *(b'"' * 600_000, b"<" * 600_000, b"&" * 600_000, b"\n" * 600_000 + b"x", b"\xe9 " * 300_000),
)


@pytest.mark.parametrize("kind", [FileKind.TEXT, FileKind.MARKDOWN, FileKind.CSV, FileKind.JSON, FileKind.HTML])
async def test_no_text_is_slow_for_its_patterns(kind: FileKind) -> None:
    async with parsers(ParserLimits(timeout_seconds=30)) as parser:
        for content in SLOW_FOR_PATTERNS:
            try:
                await parser.parse(kind, chunks(content))
            except DocumentRefused as refused:
                if refused.code != "file_empty":
                    raise


async def test_no_descriptor_and_no_process_is_left() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    pids: set[int] = set()
    async with parsers(ParserLimits(timeout_seconds=0.5, documents_per_child=4)) as parser:
        for round_ in range(6):
            contents = [chunks(content) for content in (b"text", b"", bytes(9), b"text")]
            reading = [asyncio.create_task(parser.parse(FileKind.TEXT, content)) for content in contents]
            page = FOR_MINUTES[: 900_000 * (round_ % 2)]
            reading.append(asyncio.create_task(parser.parse(FileKind.HTML, chunks(page))))
            await until(lambda: bool(parser.children))
            pids.update(parser.children)
            await asyncio.gather(*reading, return_exceptions=True)
    gc.collect()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 1)
    assert pids
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


async def test_a_child_has_no_secrets_no_files_and_few_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCHAT_SECRET_KEYS", "very-secret")
    async with parsers(ParserLimits(workers=1, memory_bytes=1 << 30)) as parser:
        await text_of(parser)
        process = Path(f"/proc/{parser.children[0]}")
        assert b"secret" not in (process / "environ").read_bytes()
        limits = {line[:25].strip(): line[25:].split()[:2] for line in (process / "limits").read_text().splitlines()}
        assert limits["Max address space"] == [str(1 << 30), str(1 << 30)]
        assert limits["Max file size"] == limits["Max core file size"] == limits["Max processes"] == ["0", "0"]
        assert limits["Max open files"] == ["64", "64"]
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert os.readlink(process / "cwd").endswith("(deleted)")
        opened = [os.readlink(one) for one in (process / "fd").iterdir()]
        assert all(name.startswith(("pipe:", "socket:")) for name in opened), opened
        assert len(opened) <= 4


async def test_nothing_to_read_with_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with parsers() as parser:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(tmp_path / "missing"))
            with pytest.raises(Unavailable) as error:
                await text_of(parser)
            assert error.value.code == "parser_unavailable"
            instead_of_children(patched, tmp_path, "exit 3")
            with pytest.raises(Unavailable):
                await text_of(parser)
        assert await text_of(parser) == "good"


async def test_what_the_content_raises_comes_through() -> None:
    class StorageLost(Exception):
        pass

    async def lost() -> AsyncIterator[bytes]:
        yield b"half"
        raise StorageLost

    async with parsers(ParserLimits(workers=1)) as parser:
        with pytest.raises(StorageLost):
            await parser.parse(FileKind.TEXT, lost())
        assert parser.children == ()
        assert await text_of(parser) == "good"


async def test_a_slow_content_takes_nobodys_turn() -> None:
    come = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"slow "
        await come.wait()
        yield b"but sure"

    async with parsers(ParserLimits(workers=1)) as parser:
        waiting = asyncio.create_task(parser.parse(FileKind.TEXT, slow()))
        assert await text_of(parser) == "good"
        come.set()
        assert (await waiting).text == "slow but sure"


async def test_a_closed_parser_reads_nothing_and_ends_what_it_reads() -> None:
    async with parsers(ParserLimits(workers=1)) as parser:
        reading = asyncio.create_task(parser.parse(FileKind.HTML, chunks(FOR_MINUTES)))
        await until(lambda: bool(parser.children))
        (child,) = parser.children
        waiting = asyncio.create_task(text_of(parser))
        await parser.aclose()
        for task in (reading, waiting):
            with pytest.raises(Unavailable):
                await task
        assert is_gone(child)
        with pytest.raises(Unavailable):
            await text_of(parser)
        await parser.aclose()


async def test_contents_are_taken_in_turn_and_no_more_than_are_soon_read() -> None:
    """However many users come at once: what waits lies in the storage, not in the folder for temporary files."""
    begun: list[int] = []
    come = asyncio.Event()

    async def slow(number: int) -> AsyncIterator[bytes]:
        begun.append(number)
        yield b"slow"
        await come.wait()

    async def all_that_can() -> list[int]:
        for _ in range(100):
            await asyncio.sleep(0)
        return begun

    async with parsers(ParserLimits(workers=2)) as parser:
        reading = [asyncio.create_task(parser.parse(FileKind.TEXT, slow(number))) for number in range(20)]
        assert await all_that_can() == [0, 1, 2, 3]
        reading[2].cancel()
        reading[4].cancel()
        assert await all_that_can() == [0, 1, 2, 3, 5]
        come.set()
        outcomes = await asyncio.gather(*reading, return_exceptions=True)
        assert begun == [0, 1, 2, 3, *range(5, 20)]
        assert sum(isinstance(one, asyncio.CancelledError) for one in outcomes) == 2
    with pytest.raises(Unavailable):
        await parser.parse(FileKind.TEXT, slow(20))
    assert 20 not in begun


def headed(count: int) -> ParsedDocument:
    headings = tuple(Heading(1, f"{number} " + "title " * 45, number) for number in range(count))
    return ParsedDocument("text " * count, (), headings, tuple(Table(number, number) for number in range(count)))


async def test_a_long_answer_is_checked_where_it_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_long(Parsed(1, 1, headed(400)))
    assert is_long(Parsed(1, 1, headed(600)))
    assert is_long(Parsed(1, 1, ParsedDocument("x" * 300_000)))
    threads: set[int] = set()

    def is_seen(answer: Answer, number: int, task: Task, limits: ParserLimits) -> bool:
        threads.add(threading.get_ident())
        return is_proper(answer, number, task, limits)

    monkeypatch.setattr("adapters.documents.child_parsers.is_proper", is_seen)
    async with parsers() as parser:
        await text_of(parser, "short")
        assert threads == {threading.get_ident()}
        assert len(await text_of(parser, "long " * 100_000)) == 499_999
        assert len(threads) == 2


def lying(monkeypatch: pytest.MonkeyPatch, folder: Path, lie: str) -> None:
    sources = Path(lying_child.__file__).parents[2] / "src"
    instead_of_children(
        monkeypatch, folder, f"PYTHONPATH='{sources}' exec '{sys.executable}' '{lying_child.__file__}' '{lie}'"
    )


async def test_an_honest_answer_is_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else the tests of lies below would prove nothing."""
    lying(monkeypatch, tmp_path, "truth")
    async with parsers() as parser:
        assert await parser.parse(FileKind.TEXT, chunks(b"x")) == lying_child.GOOD


@pytest.mark.parametrize("lie", lying_child.LIES)
async def test_no_lie_is_believed(lie: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with parsers(ParserLimits(timeout_seconds=20)) as parser:
        with monkeypatch.context() as patched:
            lying(patched, tmp_path, lie)
            with pytest.raises(DocumentRefused) as refused:
                await text_of(parser)
            assert (refused.value.code, refused.value.lasting) == ("file_too_complex", False)
        assert parser.children == ()
        assert await text_of(parser) == "good"


async def test_a_picture_that_is_none_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lying(monkeypatch, tmp_path, "a page as picture")
    async with parsers() as parser:
        with pytest.raises(DocumentRefused, match="broke down"):
            await parser.picture(FileKind.PNG, chunks(b"x"))


async def test_what_children_complain_about_is_logged_in_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "agentchat.documents")
    lying(monkeypatch, tmp_path, "noise")
    async with parsers() as parser:
        await text_of(parser)
    assert "noise noise" in caplog.text
    assert len(caplog.text) < 30_000
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


PARENT = """
import asyncio, sys
from adapters.documents.child_parsers import ChildParsers
from documents_corpus.corpus_text import deep_page
from documents_corpus.document_feed import chunks
from domain.files.files import FileKind

async def main():
    parser = ChildParsers()
    await parser.parse(FileKind.TEXT, chunks(b"x"))
    reading = [parser.parse(FileKind.HTML, chunks(deep_page(300_000))), asyncio.sleep(0.5)]
    working = asyncio.gather(*reading, *[parser.parse(FileKind.HTML, chunks(deep_page(300_000)))])
    while len(parser.children) < 2:
        await asyncio.sleep(0.01)
    print(*parser.children, flush=True)
    await working

asyncio.run(main())
"""


async def test_a_killed_parent_leaves_no_child() -> None:
    tests = Path(__file__).parents[1]
    path = f"{tests}{os.pathsep}{tests.parent / 'src'}"
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), env={**os.environ, "PYTHONPATH": path}, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    await until(lambda: all(map(is_working, pids)))
    parent.kill()
    await parent.wait()
    await until(lambda: all(map(is_gone, pids)))


def test_another_way_of_reading_is_another_version() -> None:
    limits = (ParserLimits(), ParserLimits(max_pages=9), ParserLimits(max_chars=9))
    assert len({ChildParsers(one).version for one in limits}) == 3
    assert ChildParsers(ParserLimits(timeout_seconds=1, workers=9)).version == ChildParsers().version
