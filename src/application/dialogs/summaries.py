"""What fell out of a dialog's window is summed up by a job, after the answer and in nobody's way."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.asking.asides import AskAside
from application.jobs.asked_work import AskForWork
from application.models.models import FindModel
from application.ports.job_queue import Again, Job, JobKind
from application.ports.persistence import Transactions
from application.ports.summaries import SummaryState
from application.runs.after_answers import AnswerKept
from domain.agents.agents import Agent
from domain.conversation.conversation import tokens_of
from domain.dialogs.dialog_subjects import dialog_subject, parse_dialog_subject
from domain.dialogs.history import prompt_budget, shortened, turns_of
from domain.dialogs.messages import Exchange
from domain.dialogs.past import MOST_BYTES, MOST_EXCHANGES, Summary
from domain.dialogs.summaries import MOST_AT_ONCE, MOST_FAILURES, kept_summary, summary_request, summary_tokens
from domain.errors import ModelError, NotFound, Unauthenticated
from domain.ids import DialogId, MessageId, UserId
from domain.models.attempts import Purpose
from domain.models.models import ModelSpec


@dataclass(frozen=True, slots=True)
class WantSummary:
    """A Follower: where a dialog's window got full, it asks for a summary. It costs nothing while everything fits."""

    transactions: Transactions
    ask_for_work: AskForWork

    async def __call__(self, kept: AnswerKept) -> None:
        answer = Exchange("", kept.answer.content, kept.answer.rounds)
        due = None if kept.load is None else kept.load.due(sum(tokens_of(shortened(one)) for one in turns_of(answer)))
        if due is None:
            return
        run = kept.run
        async with self.transactions.autocommit() as tx:
            wanted = await tx.summaries.want(run.dialog_id, due, owner=run.user_id)
        if wanted:
            await self.ask_for_work(Job(JobKind.SUMMARISE, dialog_subject(run.user_id, run.dialog_id)))


@dataclass(frozen=True, slots=True)
class Summarise:
    """The job: the summary so far and the exchanges that followed make a new one, by the model of the dialog's agent.

    What the database says is wanted is done, in portions that a model reads at once. Of two at once the first wins.
    """

    transactions: Transactions
    find_model: FindModel
    ask: AskAside

    async def __call__(self, job: Job) -> Again | None:
        owner, dialog_id = parse_dialog_subject(job.subject)
        try:
            return await self._portion(owner, dialog_id)
        except (NotFound, Unauthenticated):
            # The dialog, its account or the model went.
            return None

    async def _portion(self, owner: UserId, dialog_id: DialogId) -> Again | None:
        async with self.transactions.autocommit() as tx:
            state = await tx.summaries.state(dialog_id, owner=owner)
            if state is None or state.summary.covers >= state.wanted or state.failures >= MOST_FAILURES:
                return None
            said = await tx.summaries.stretch(dialog_id, state, MOST_EXCHANGES, MOST_BYTES, owner=owner)
            scene = await tx.dialogs.scene(dialog_id, None, owner=owner)
        if not said:
            return None
        # Of an agent whose model is gone nothing is told to another one's provider.
        spec = await self.find_model(owner, scene.agent.llm_id if scene.agent else None)
        try:
            new, last = await self._made(owner, spec, scene.agent, state, said)
        except ModelError:
            if await self._given_up(owner, dialog_id, state):
                return None
            raise
        async with self.transactions.autocommit() as tx:
            await tx.summaries.save(dialog_id, new, state.summary.covers, last, owner=owner)
        return Again() if new.covers < state.wanted else None

    async def _made(
        self,
        owner: UserId,
        spec: ModelSpec,
        agent: Agent | None,
        state: SummaryState,
        said: Sequence[tuple[MessageId, Exchange]],
    ) -> tuple[Summary, MessageId]:
        """With the id of the last answer that it covers. Raises ModelError."""
        most = summary_tokens(spec.context_window)
        room = min(prompt_budget(spec.context_window, spec.max_output_tokens, 0), MOST_AT_ONCE)
        exchanges = [exchange for _, exchange in said]
        request, count = summary_request(spec, state.summary.text, exchanges, most, room)
        text = await self.ask(spec, owner, Purpose.SUMMARY, request, agent.agent_id if agent else None)
        kept = kept_summary(text, most)
        if not kept:
            raise ModelError("model_empty_answer", "The model summed up nothing.")
        return Summary(kept, state.summary.covers + count), said[count - 1][0]

    async def _given_up(self, owner: UserId, dialog_id: DialogId, state: SummaryState) -> bool:
        """The prompt goes on without, until the dialog has grown further."""
        async with self.transactions.autocommit() as tx:
            return await tx.summaries.failed(dialog_id, state.summary.covers, owner=owner) >= MOST_FAILURES
