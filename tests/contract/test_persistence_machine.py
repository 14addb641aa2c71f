"""Several users over one database, any history: the repositories agree with a model, and nobody sees another's."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import Agent, AgentDraft
from domain.dialogs.dialogs import Dialog
from domain.dialogs.messages import Answer, AnswerStatus, Feedback, Message
from domain.errors import DomainError
from domain.ids import UserId
from stored import agent, dialog, finished, open_answer, question, run_of, seconds, user

T = TypeVar("T")
WHO = st.integers(0, 2)
NAMES = st.sampled_from(["Ada", "ADA", "Bob", "张"])
DIALOGS = st.sampled_from(["dialog-123", "d2"])


class Belongings:
    """What one user has, in memory."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.dialogs: dict[str, Dialog] = {}
        self.messages: dict[str, list[Message]] = {}

    def named(self, name: str) -> list[Agent]:
        return [one for one in self.agents.values() if one.name_key == name.casefold()]

    def open_answer(self, dialog_id: str) -> Answer | None:
        for one in self.messages.get(dialog_id, [])[-1:]:
            if isinstance(one, Answer) and one.status is AnswerStatus.RUNNING:
                return one
        return None


class SeveralUsers(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.transactions = DatabaseTransactions.open(url)
        self.moment = 0
        self.users: list[UserId] = []
        self.model: dict[UserId, Belongings] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T | str:
        """What it gave, or the code of its refusal."""
        try:
            return self.runner.run(work)
        except DomainError as refused:
            return refused.code

    async def do(self, area: str, method: str, *arguments: Any, **named: Any) -> Any:
        async with self.transactions.begin() as tx:
            return await getattr(getattr(tx, area), method)(*arguments, **named)

    def later(self) -> Any:
        self.moment += 1
        return seconds(self.moment)

    @initialize()
    def three_people_register(self) -> None:
        for _ in range(3):
            one = user()
            self.run(self.do("users", "add", one))
            self.users.append(one.user_id)
            self.model[one.user_id] = Belongings()

    @rule(who=WHO, name=NAMES)
    def make_agent(self, who: int, name: str) -> None:
        owner = self.users[who]
        one = agent(owner, name, created_at=self.later())
        taken = self.model[owner].named(name)
        assert self.run(self.do("agents", "add", one)) == ("agent_name_taken" if taken else None)
        if not taken:
            self.model[owner].agents[one.agent_id] = one

    @rule(who=WHO, whose=WHO, name=NAMES)
    def rename_agent(self, who: int, whose: int, name: str) -> None:
        for one in list(self.model[self.users[whose]].agents.values())[:1]:
            changed = one.change(AgentDraft(name=name), self.later())
            outcome = self.run(self.do("agents", "save", replace(changed, user_id=self.users[who])))
            if who != whose:
                assert outcome == "agent_not_found"
            elif [it for it in self.model[self.users[who]].named(name) if it.agent_id != one.agent_id]:
                assert outcome == "agent_name_taken"
            else:
                assert outcome is None
                self.model[self.users[who]].agents[one.agent_id] = changed

    @rule(who=WHO, whose=WHO)
    def remove_agent(self, who: int, whose: int) -> None:
        for one in list(self.model[self.users[whose]].agents.values())[:1]:
            outcome = self.run(self.do("agents", "remove", replace(one, user_id=self.users[who])))
            assert outcome == (None if who == whose else "agent_not_found")
            if who == whose:
                mine = self.model[self.users[who]]
                del mine.agents[one.agent_id]
                for key, kept in mine.dialogs.items():
                    if kept.agent_id == one.agent_id:
                        mine.dialogs[key] = replace(kept, agent_name=one.name, logo_url=one.logo_url)

    @rule(who=WHO, dialog_id=DIALOGS, with_agent=st.booleans())
    def make_dialog(self, who: int, dialog_id: str, with_agent: bool) -> None:
        owner, mine = self.users[who], self.model[self.users[who]]
        now = self.later()
        one = dialog(owner, dialog_id, created_at=now, updated_at=now)
        if with_agent and mine.agents:
            chosen = next(iter(mine.agents.values()))
            one = replace(one, agent_id=chosen.agent_id, agent_name=chosen.name, logo_url=chosen.logo_url)
        exists = dialog_id in mine.dialogs
        assert self.run(self.do("dialogs", "add", one)) == ("dialog_exists" if exists else None)
        if not exists:
            mine.dialogs[dialog_id], mine.messages[dialog_id] = one, []

    @rule(who=WHO, dialog_id=DIALOGS)
    def remove_dialog(self, who: int, dialog_id: str) -> None:
        mine = self.model[self.users[who]]
        outcome = self.run(self.do("dialogs", "remove", dialog_id, owner=self.users[who]))
        assert outcome == (None if dialog_id in mine.dialogs else "dialog_not_found")
        mine.dialogs.pop(dialog_id, None)
        mine.messages.pop(dialog_id, None)

    @rule(who=WHO, dialog_id=DIALOGS)
    def ask(self, who: int, dialog_id: str) -> None:
        owner, mine = self.users[who], self.model[self.users[who]]
        asked, answer = question(dialog_id, created_at=self.later()), open_answer(dialog_id, created_at=self.later())
        outcome = self.run(self.do("runs", "open", run_of(answer, owner), asked, answer))
        if dialog_id not in mine.dialogs:
            assert outcome == "dialog_not_found"
        elif mine.open_answer(dialog_id):
            assert outcome == "dialog_busy"
        else:
            assert outcome is None
            mine.messages[dialog_id] += [asked, answer]

    @rule(who=WHO, whose=WHO, dialog_id=DIALOGS)
    def answer(self, who: int, whose: int, dialog_id: str) -> None:
        theirs = self.model[self.users[whose]]
        running = theirs.open_answer(dialog_id)
        if running is None:
            return
        closed = finished(running, f"at {self.moment}")
        assert self.run(self.do("runs", "close", closed, (), owner=self.users[who])) is (who == whose)
        if who == whose:
            theirs.messages[dialog_id][-1] = closed
            theirs.dialogs[dialog_id] = replace(theirs.dialogs[dialog_id], updated_at=closed.closed_at)

    @rule(who=WHO, whose=WHO, dialog_id=DIALOGS, rating=st.sampled_from([*Feedback, None]))
    def rate(self, who: int, whose: int, dialog_id: str, rating: Feedback | None) -> None:
        for one in self.model[self.users[whose]].messages.get(dialog_id, [])[:1]:
            outcome = self.run(self.do("messages", "rate", one.message_id, rating, owner=self.users[who]))
            assert outcome == (None if who == whose else "message_not_found")
            if who == whose:
                self.model[self.users[whose]].messages[dialog_id][0] = replace(one, feedback=rating)

    @rule(who=WHO)
    def leave_and_come_again(self, who: int) -> None:
        gone, again = self.users[who], user()
        assert self.run(self.do("users", "remove", gone)) == []
        assert self.run(self.do("dialogs", "list", Window(), owner=gone)) == "account_gone"
        assert self.run(self.do("agents", "add", agent(gone))) == "account_gone"
        self.run(self.do("users", "add", again))
        self.users[who] = again.user_id
        del self.model[gone]
        self.model[again.user_id] = Belongings()

    @invariant()
    def everyone_sees_exactly_their_own(self) -> None:
        self.runner.run(self.look())

    async def look(self) -> None:
        for owner, mine in self.model.items():
            async with self.transactions.autocommit() as tx:
                agents = await tx.agents.list(Window(), owner=owner)
                assert [one for one in agents if one.is_custom] == newest(mine.agents.values())
                shown = [live(one, mine) for one in newest(mine.dialogs.values())]
                assert await tx.dialogs.list(Window(), owner=owner) == shown
                for dialog_id, messages in mine.messages.items():
                    assert (
                        await tx.messages.history(dialog(owner, dialog_id).dialog_id, Window(), owner=owner) == messages
                    )

    def teardown(self) -> None:
        self.runner.run(self.transactions.aclose())
        self.runner.close()


def newest(objects: Any) -> list[Any]:
    return sorted(objects, key=lambda one: one.created_at, reverse=True)


def live(one: Dialog, mine: Belongings) -> Dialog:
    chosen = mine.agents.get(one.agent_id)
    return one if chosen is None else replace(one, agent_name=chosen.name, logo_url=chosen.logo_url)


def test_any_history_of_several_users(database_url: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: SeveralUsers(database_url), settings=settings(max_examples=12, stateful_step_count=25)
    )
