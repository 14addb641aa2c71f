"""Memories of several users, any history: what is known is what some dialog that is there taught, and nobody else's."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.database.transactions import DatabaseTransactions
from domain.agents.agents import Agent
from domain.errors import NotFound
from domain.ids import DialogId, MemoryId
from domain.memory.memories import Changes, Known
from domain.memory.memory_lessons import Lesson
from remembering import LATER, known, learn, lesson_of, listed, new, owner_of, remembering, told
from stored import seconds

T = TypeVar("T")
WHO = st.integers(0, 3)
DIALOGS = st.sampled_from(["same", "other", "third"])
WHICH = st.integers(0, 10)


@dataclass
class Fact:
    who: int
    content: str
    dialogs: set[str] = field(default_factory=set)


class MemoriesOfSeveral(RuleBasedStateMachine):
    """Two users with two agents each; dialogs of the same ids."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.transactions = DatabaseTransactions.open(url)
        self.agents: list[Agent] = []
        self.facts: dict[MemoryId, Fact] = {}
        self.under_way: list[tuple[int, str, Lesson]] = []
        self.moments = count(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        for _ in range(2):
            one = self.run(remembering(self.transactions))
            self.agents += [one, self.run(remembering(self.transactions, owner_of(one), "Bob"))]

    def mine(self, who: int) -> list[MemoryId]:
        return [memory_id for memory_id, fact in self.facts.items() if fact.who == who]

    def users(self, who: int) -> tuple[int, int]:
        """The numbers of the agents of the same user."""
        return (0, 1) if who < 2 else (2, 3)

    @rule(who=WHO, dialog_id=DIALOGS)
    def tell(self, who: int, dialog_id: str) -> None:
        moment = seconds(next(self.moments))
        self.run(told(self.transactions, self.agents[who], "words", dialog_id, at=moment))

    @rule(who=WHO, dialog_id=DIALOGS)
    def begin_a_lesson(self, who: int, dialog_id: str) -> None:
        lesson = self.run(lesson_of(self.transactions, owner_of(self.agents[who]), dialog_id))
        if lesson is not None:
            self.under_way.append((who, dialog_id, lesson))

    @rule(
        which=WHICH, adds=st.integers(0, 2), confirmed=st.lists(WHICH, max_size=2), removed=st.lists(WHICH, max_size=1)
    )
    def end_a_lesson(self, which: int, adds: int, confirmed: list[int], removed: list[int]) -> None:
        if not self.under_way:
            return
        who, dialog_id, lesson = self.under_way.pop(which % len(self.under_way))
        agents = [number for number in self.users(who) if self.agents[number].agent_id == lesson.agent_id]
        (teacher,) = agents
        there = self.mine(teacher)
        gone = {there[number % len(there)] for number in removed if there}
        again = {there[number % len(there)] for number in confirmed if there} - gone
        moment = seconds(next(self.moments))
        added = tuple(new(f"Fact {len(self.facts)} {number}.", lesson.said[-1].message_id) for number in range(adds))
        changes = Changes(added, dict.fromkeys(again, lesson.said[-1].message_id), tuple(gone))
        owner = owner_of(self.agents[who])
        if self.run(learn(self.transactions, owner, lesson, changes, dialog_id, moment)):
            for memory_id in gone:
                del self.facts[memory_id]
            for memory_id in again:
                self.facts[memory_id].dialogs.add(dialog_id)
            self.facts |= {one.memory_id: Fact(teacher, one.content, {dialog_id}) for one in added}

    @rule(who=WHO, dialog_id=DIALOGS)
    def delete_a_dialog(self, who: int, dialog_id: str) -> None:
        async def remove() -> bool:
            try:
                async with self.transactions.begin() as tx:
                    await tx.dialogs.remove(DialogId(dialog_id), owner=owner_of(self.agents[who]))
            except NotFound:
                return False
            return True

        if self.run(remove()):
            for number in self.users(who):
                for memory_id in self.mine(number):
                    self.facts[memory_id].dialogs.discard(dialog_id)
            self.facts = {memory_id: fact for memory_id, fact in self.facts.items() if fact.dialogs}

    @rule(who=WHO, which=WHICH)
    def forget_one(self, who: int, which: int) -> None:
        """Anybody may try; it is the owner who can."""
        if not self.facts:
            return
        memory_id = [*self.facts][which % len(self.facts)]

        async def remove() -> bool:
            async with self.transactions.autocommit() as tx:
                try:
                    await tx.memories.remove(memory_id, LATER, owner=owner_of(self.agents[who]))
                except NotFound:
                    return False
            return True

        own = self.facts[memory_id].who in self.users(who)
        assert self.run(remove()) == own
        if own:
            del self.facts[memory_id]

    @rule(who=WHO, everything=st.booleans())
    def forget_all(self, who: int, everything: bool) -> None:
        async def remove() -> None:
            async with self.transactions.autocommit() as tx:
                agent_id = None if everything else self.agents[who].agent_id
                moment = seconds(next(self.moments))
                await tx.memories.remove_all(agent_id, moment, owner=owner_of(self.agents[who]))

        self.run(remove())
        for number in self.users(who) if everything else (who,):
            for memory_id in self.mine(number):
                del self.facts[memory_id]
            # What was under way then may teach nothing more.
            stale = self.agents[number].agent_id
            owner = owner_of(self.agents[number])
            for _, dialog_id, lesson in [one for one in self.under_way if one[2].agent_id == stale]:
                changes = Changes((new("Back again."),))
                assert not self.run(learn(self.transactions, owner, lesson, changes, dialog_id))
            self.under_way = [one for one in self.under_way if one[2].agent_id != stale]

    @invariant()
    def each_knows_what_is_theirs(self) -> None:
        for who, one in enumerate(self.agents):
            expected = {memory_id: self.facts[memory_id].content for memory_id in self.mine(who)}
            found: list[Known] = list(self.run(known(self.transactions, one)))
            assert {text.memory_id: text.content for text in found} == expected
            shown = self.run(listed(self.transactions, owner_of(one), one.agent_id))
            assert {text.memory_id for text in shown} == set(expected)
            for text in shown:
                assert text.dialog_id in self.facts[text.memory_id].dialogs

    def teardown(self) -> None:
        async def remove() -> None:
            async with self.transactions.begin() as tx:
                for one in self.agents[::2]:
                    await tx.users.remove(owner_of(one))

        self.run(remove())
        self.run(self.transactions.aclose())
        self.runner.close()


def test_any_history_of_memories(database_url: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: MemoriesOfSeveral(database_url), settings=settings(max_examples=12, stateful_step_count=30)
    )
