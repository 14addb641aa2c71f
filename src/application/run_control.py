"""What a person does with a run that is there: look at it, follow it again, stop it."""

from dataclasses import dataclass

from application.ports.persistence import Transactions
from application.run_registry import RunRegistry
from application.runs import Run
from domain.dialogs import parse_dialog_id
from domain.errors import InvalidValue
from domain.ids import RunId, UserId
from domain.messages import AnswerStatus


@dataclass(frozen=True, slots=True)
class FindRun:
    """A run of the caller's that is in the making, or ended a short while ago. Raises NotFound."""

    transactions: Transactions
    runs: RunRegistry

    async def __call__(self, actor: UserId, run_id: RunId) -> Run:
        async with self.transactions.autocommit() as tx:
            await tx.users.caller(actor)
        return self.runs.get(run_id, owner=actor)


@dataclass(frozen=True, slots=True)
class StopRun:
    """Ends a run at once, named by itself or by its dialog; back when its answer is kept."""

    transactions: Transactions
    runs: RunRegistry

    async def __call__(self, actor: UserId, *, run_id: RunId | None, dialog_id: str | None) -> Run:
        async with self.transactions.autocommit() as tx:
            await tx.users.caller(actor)
        if run_id:
            run = self.runs.get(run_id, owner=actor)
        elif dialog_id:
            run = self.runs.in_dialog(parse_dialog_id(dialog_id), owner=actor)
        else:
            raise InvalidValue("dialog_id", "give dialog_id or run_id")
        run.end(AnswerStatus.STOPPED)
        await run.wait()
        return run
