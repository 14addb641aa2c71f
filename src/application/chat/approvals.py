"""A person's word on a call that waits for it: the run goes on, at this process, wherever it began."""

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from application.asking.stand_ins import who_goes_on
from application.chat.answering import Answering, Continuing
from application.chat.run_making import Begun, MakeRuns
from application.models.models import FindModel
from application.ports.argument_check import ArgumentCheck
from application.ports.persistence import Transaction, Transactions
from application.runs.leases import Leases
from application.runs.live_runs import LiveRun
from application.runs.run_closing import replay, stored_log
from application.runs.run_log import RunLog
from application.runs.run_registry import RunRegistry
from application.tools.asking_depth import asking_depth
from application.usage.quotas import Quotas
from domain.chat.chat_events import Recorded
from domain.chat.transcript import Transcript
from domain.dialogs.messages import Answer
from domain.dialogs.past import MOST_EXCHANGES
from domain.errors import Conflict, InvalidValue
from domain.files.files import Attachment
from domain.ids import RunId, UserId
from domain.models.models import ModelSpec
from domain.runs.pauses import Approval, RunPause
from domain.runs.runs import Run


@dataclass(frozen=True, slots=True)
class ApproveCall:
    """The last word that a run waits for lets it go on; from then on it needs no reader."""

    transactions: Transactions
    find_model: FindModel
    answering: Answering
    check: ArgumentCheck
    runs: RunRegistry
    leases: Leases
    make: MakeRuns
    quotas: Quotas

    async def __call__(self, actor: UserId, run_id: RunId, approval: Approval) -> Run:
        """The run as it is then. When it can't go on now nothing is decided: say it again.

        Raises NotFound, Conflict `approval_not_awaited`, `tool_call_decided` and, where no model can go on,
        `approval_outdated`, InvalidValue for arguments that the tool does not take, and whatever refuses a question:
        TooManyRequests, Unavailable `shutting_down`.
        """
        with self.runs.admitted(actor), self.runs.starting(run_id), ExitStack() as undo:
            # What takes a while is done before anything is held: the log of a waiting run does not grow.
            async with self.transactions.autocommit() as tx:
                run, pause = await tx.pauses.find(run_id, owner=actor)
                await self._refuse_wrong(pause, approval)
                paused = await _paused(tx, run, pause)
            going_on = await who_goes_on(self.find_model, actor, pause)
            spec = going_on.spec
            await self.quotas.refuse_exhausted(actor, run_id, going_on.on(pause).route(spec))
            async with self.transactions.begin() as tx:
                run, pause = await tx.pauses.held(run_id, owner=actor, known=paused.pause)
                if pause.number != paused.pause.number:
                    raise Conflict("tool_call_decided", "The answer went on meanwhile, and waits with another call.")
                pause = pause.approve(approval)
                if not pause.decided:
                    await tx.pauses.save(run_id, pause)
                    return run
                pause = going_on.on(pause)
                leave = self.answering.models.admit(pause.route(spec), actor)
                undo.callback(leave)
                # A word is not spent on an answer that would be interrupted at once.
                self.runs.refuse_draining()
                await tx.pauses.end(run_id, self.leases.until())
            live = self._live(replace(paused, run=run, pause=pause), spec, leave)
            self._start(live, pause.depth)
            undo.pop_all()
            return live.state

    def _start(self, live: LiveRun, depth: int) -> None:
        token = asking_depth.set(depth)
        try:
            self.runs.start(live)
        finally:
            asking_depth.reset(token)

    async def _refuse_wrong(self, pause: RunPause, approval: Approval) -> None:
        """What the person changed must be arguments that the tool takes."""
        tool = pause.offered(approval.tool_call_id)
        if approval.arguments is None or tool is None:
            return
        try:
            arguments = json.loads(approval.arguments)
        except (ValueError, RecursionError) as error:
            raise InvalidValue("arguments", "can't be read: too long a number, or nested too deeply") from error
        if problems := await asyncio.to_thread(self.check.problems, tool.parameters, arguments):
            raise InvalidValue("arguments", " ".join(problems))

    def _live(self, paused: "_Paused", spec: ModelSpec, leave: Callable[[], None]) -> LiveRun:
        run, pause = paused.run.resume(self.leases.until()), paused.pause
        continuing = Continuing(self.answering, run.user_id, spec, pause, paused.attached)
        begun = Begun(run, paused.answer, pause.agent, spec, leave)
        log = RunLog(run.run_id, paused.recorded)
        return self.make(begun, continuing.events(), None, log, paused.transcript)


@dataclass(frozen=True, slots=True)
class _Paused:
    """All that a run has, wherever it began. `attached` came with its question and earlier ones."""

    run: Run
    pause: RunPause
    answer: Answer
    recorded: list[Recorded]
    transcript: Transcript
    attached: tuple[Attachment, ...]


async def _paused(tx: Transaction, run: Run, pause: RunPause) -> _Paused:
    answer = await tx.messages.get(run.message_id, owner=run.user_id)
    if not isinstance(answer, Answer):
        raise TypeError(f"message {run.message_id} is no answer")
    recorded: list[Recorded] = []
    transcript = Transcript()
    async for portion in stored_log(tx, run):
        recorded += portion
        replay(transcript, portion)
        await asyncio.sleep(0)
    earlier = await tx.messages.past(run.dialog_id, MOST_EXCHANGES, 0, owner=run.user_id)
    return _Paused(run, pause, answer, recorded, transcript, (*pause.attached, *earlier.attached))
