"""Word of runs that other processes make. It may get lost: whoever waits also looks by himself now and then."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol

from domain.ids import RunId


class RunSignals(Protocol):
    def watch(self, run_id: RunId) -> AbstractContextManager[asyncio.Event]:
        """An event that is set whenever the run's stored log grew, or it was closed, or word may have been missed.

        Clear it before you look, wait for it after: then nothing is missed. Any number may watch one run.
        """
        ...

    def stored(self, run_ids: Collection[RunId]) -> None:
        """The logs of these runs grew, or they were closed, by this process. Needed where the database tells nobody."""
        ...

    def on_stop(self, heard: Callable[[RunId], None]) -> None:
        """Call `heard` with each run that somebody asked to stop, wherever it is made."""
        ...

    async def listen(self) -> None:
        """Listen until cancelled; reconnect after any failure, and wake every watcher then. Runs once a process."""
        ...
