"""What agents learn about users: by a job, after the answer and in nobody's way."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from application.asking.asides import AskAside
from application.jobs.asked_work import AskForWork
from application.memory.embedded_memories import EmbedMemories
from application.models.models import FindModel
from application.ports.clock import Clock
from application.ports.job_queue import Again, Job, JobKind
from application.ports.persistence import Transactions
from application.runs.after_answers import AnswerKept
from application.tallies import Tally
from domain.conversation.conversation import FinishReason
from domain.dialogs.dialog_subjects import dialog_subject, parse_dialog_subject
from domain.dialogs.history import prompt_budget
from domain.dialogs.messages import AnswerStatus
from domain.errors import ModelError, NotFound, Unauthenticated
from domain.ids import DialogId, MemoryId, UserId, new_id
from domain.knowledge.lexical import best
from domain.memory.memories import Changes, Known, Operation, merged
from domain.memory.memory_lessons import MOST_OUTPUT, Lesson, Said, Unreadable, learnt_from, lesson_request
from domain.models.attempts import Purpose
from domain.models.models import ModelSpec

MOST_FAILURES: Final = 3
PAUSES: Final = (timedelta(minutes=1), timedelta(minutes=15))
"""Before a lesson is tried again that the model failed at."""
MOST_AT_ONCE: Final = 12_000
"""Tokens that a model is given to read."""
MOST_USEFUL: Final = 10
"""Memories that count as spoken of."""
_LOOKED_AT: Final = 1_000


@dataclass(frozen=True, slots=True)
class RememberAnswered:
    """A Follower: agents that remember learn from what they answered completely."""

    ask_for_work: AskForWork

    async def __call__(self, kept: AnswerKept) -> None:
        # Who calls tools of the caller's comes back with their results: what was said is learnt after the last word.
        ended = kept.answer.status is AnswerStatus.COMPLETE and kept.answer.finish_reason != FinishReason.TOOL_CALLS
        if kept.agent.enable_memory and ended:
            await self.ask_for_work(Job(JobKind.REMEMBER, dialog_subject(kept.run.user_id, kept.run.dialog_id)))


@dataclass(frozen=True, slots=True)
class LessonStatistics:
    """How lessons ended: learnt, nothing, unreadable, failed, overtaken, no_room."""

    ended: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Remember:
    """The job: what the user said since the last lesson, in portions, is read by the model of the agent that they said
    it to. Of two at once the first wins; what was said in vain is read at the dialog's next answer.
    """

    transactions: Transactions
    find_model: FindModel
    ask: AskAside
    embed: EmbedMemories
    clock: Clock
    statistics: LessonStatistics = field(default_factory=LessonStatistics)

    async def __call__(self, job: Job) -> Again | None:
        owner, dialog_id = parse_dialog_subject(job.subject)
        try:
            return await self._portion(owner, dialog_id)
        except (NotFound, Unauthenticated):
            # The dialog, the agent, its model or the account went.
            return None

    async def _portion(self, owner: UserId, dialog_id: DialogId) -> Again | None:
        async with self.transactions.autocommit() as tx:
            lesson = await tx.memories.lesson(dialog_id, owner=owner)
            if lesson is None:
                return None
            # After the lesson, which says the version that they must still have at its end.
            known = await tx.memories.known(lesson.agent_id, "", 0, owner=owner)
            forgotten = await tx.memories.forgotten(lesson.agent_id, owner=owner)
            agent = await tx.agents.get(lesson.agent_id, owner=owner)
        if not lesson.said:
            return await self._keep(owner, dialog_id, lesson, Changes())
        # What takes milliseconds for long messages is done beside the loop, which has answers to stream.
        spoken_of = await asyncio.to_thread(_spoken_of, lesson.said, known)
        try:
            # Of an agent whose model is gone nothing is told to another one's provider.
            spec = await self.find_model(owner, agent.llm_id)
            operations = await self._learnt(owner, spec, lesson, [*dict.fromkeys([*spoken_of, *known])])
        except ModelError:
            return await self._put_off(owner, dialog_id, lesson)
        operations = forgotten.without(operations, {one.message_id: one.asked_at for one in lesson.said})
        changes = merged(known, operations, _new_id, {one.memory_id for one in spoken_of[:MOST_USEFUL]})
        changes = replace(changes, added=await self.embed(changes.added))
        return await self._keep(owner, dialog_id, lesson, changes)

    async def _keep(self, owner: UserId, dialog_id: DialogId, lesson: Lesson, changes: Changes) -> Again | None:
        async with self.transactions.autocommit() as tx:
            kept = await tx.memories.learn(dialog_id, lesson, changes, self.clock.now(), owner=owner)
        if not kept:
            # Another dialog taught the agent meanwhile, or something was forgotten: it is looked at anew.
            self.statistics.ended.add("overtaken")
            return Again()
        return Again() if lesson.has_more else None

    async def _learnt(
        self, owner: UserId, spec: ModelSpec, lesson: Lesson, known: Sequence[Known]
    ) -> Sequence[Operation]:
        """The model is shown the first of `known`, as far as there is room. Raises ModelError.

        Nothing where it writes what can't be used, also when it is asked again.
        """
        room = min(prompt_budget(spec.context_window, MOST_OUTPUT, 0), MOST_AT_ONCE)
        notes = [(one.memory_id, one.content) for one in known]
        asked = await asyncio.to_thread(lesson_request, spec.model, lesson.said, notes, room)
        if asked is None:
            return self._ended("no_room")
        for _ in range(2):
            text = await self.ask(spec, owner, Purpose.MEMORY, asked.request, lesson.agent_id)
            try:
                return self._ended("learnt", await asyncio.to_thread(learnt_from, text, asked))
            except Unreadable as problem:
                asked = asked.again(text, str(problem))
        return self._ended("unreadable")

    def _ended(self, how: str, operations: Sequence[Operation] = ()) -> Sequence[Operation]:
        self.statistics.ended.add("nothing" if how == "learnt" and not operations else how)
        return operations

    async def _put_off(self, owner: UserId, dialog_id: DialogId, lesson: Lesson) -> Again | None:
        """Tried again later, and given up after some times: what no model reads stands in nobody's way."""
        self.statistics.ended.add("failed")
        async with self.transactions.autocommit() as tx:
            failures = await tx.memories.failed(dialog_id, lesson, owner=owner)
        if failures < MOST_FAILURES:
            return Again(PAUSES[max(failures - 1, 0)])
        return await self._keep(owner, dialog_id, lesson, Changes())


def _new_id() -> MemoryId:
    return MemoryId(new_id())


def _spoken_of(said: Sequence[Said], known: Sequence[Known]) -> list[Known]:
    """Those that share words with what was said, most of all first."""
    words = "\n".join(one.text[:_LOOKED_AT] for one in said)
    return [known[number] for number in best(words, [one.content for one in known], len(known))]
