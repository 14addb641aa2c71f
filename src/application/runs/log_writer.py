"""Stores the logs of this process's runs behind them: one batch for all, so no token waits for a database."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from application.ports.persistence import Transactions
from application.ports.runs import LogPiece
from application.runs.live_runs import LiveRun, OnCrash
from application.runs.run_registry import RunRegistry
from domain.dialogs.messages import AnswerStatus
from domain.errors import DomainError
from domain.ids import RunId

FLUSH_SECONDS: Final = 0.2
"""What a process that is killed loses of its text, at most."""
RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class LogWriter:
    registry: RunRegistry
    transactions: Transactions
    on_trouble: Callable[[Exception], None]
    on_crash: OnCrash
    on_stored: Callable[[Collection[RunId]], None]
    flush_seconds: float = FLUSH_SECONDS

    async def forever(self) -> None:
        pause, told = self.flush_seconds, False
        while True:
            await asyncio.sleep(pause)
            try:
                await self.flush()
            except Exception as trouble:  # noqa: BLE001 - what could not be written stays in memory and is tried again
                if not told:
                    self.on_trouble(trouble)
                pause, told = RETRY_SECONDS, True
            else:
                pause, told = self.flush_seconds, False

    async def flush(self) -> None:
        """Write what came since the last time. Raises Unavailable; nothing is lost by it."""
        pieces = {run: piece for run in self.registry.live() if not run.closing and (piece := run.log.next_piece())}
        if not pieces:
            return
        asked_to_stop = await self._append(pieces)
        for run, piece in pieces.items():
            if not run.log.unwritable:
                run.log.acknowledge(piece)
            # One that is not told of was closed by another process, or went with its dialog.
            if asked_to_stop.get(run.state.run_id, True):
                run.end(AnswerStatus.STOPPED)
        shown = [run for run, piece in pieces.items() if piece.events]
        self.on_stored([run.state.run_id for run in shown])
        await self._announce([run for run in shown if not run.announced])

    async def _append(self, pieces: Mapping[LiveRun, LogPiece]) -> Mapping[RunId, bool]:
        try:
            async with self.transactions.autocommit() as tx:
                return await tx.runs.append(list(pieces.values()))
        except DomainError:
            raise
        except Exception:  # noqa: BLE001 - a defect with one run's piece must not hold up the others'
            return await self._append_one_by_one(pieces)

    async def _append_one_by_one(self, pieces: Mapping[LiveRun, LogPiece]) -> Mapping[RunId, bool]:
        asked_to_stop: dict[RunId, bool] = {}
        for run, piece in pieces.items():
            try:
                async with self.transactions.autocommit() as tx:
                    asked_to_stop |= await tx.runs.append([piece])
            except DomainError:
                raise
            except Exception as defect:  # noqa: BLE001 - see above; its answer is still kept at its end
                self.on_crash(run.state.run_id, defect)
                run.log.unwritable = True
                asked_to_stop[run.state.run_id] = False
        return asked_to_stop

    async def _announce(self, begun: Collection[LiveRun]) -> None:
        if begun:
            async with self.transactions.autocommit() as tx:
                await tx.runs.begun([run.state.run_id for run in begun])
            for run in begun:
                run.announced = True
