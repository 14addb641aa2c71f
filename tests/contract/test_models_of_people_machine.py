"""Two people over one database, any history of models: each sees and changes his own, and keys stay what they were."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import AgentDraft
from domain.errors import DomainError
from domain.ids import AgentId, ModelId, UserId
from domain.models.own_models import masked
from model_desk import SYSTEM, ModelDesk
from stored import registered
from tool_desk import ToolDesk

T = TypeVar("T")
WHO = st.integers(0, 1)
WHICH = st.integers(0, 3)
KEYS = st.sampled_from(["sk-first-key-00000001", "sk-second-key-0000002", "tiny"])


class TwoPeople(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.desk = ModelDesk(DatabaseTransactions.open(url))
        self.users: list[UserId] = []
        self.made: list[ModelId] = []
        self.keys: dict[UserId, dict[ModelId, tuple[str, str]]] = {}
        """Of each person's models the name and the key."""
        self.agents: dict[UserId, tuple[AgentId, ModelId | None]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T | str:
        """What it gave, or the code of its refusal."""
        try:
            return self.runner.run(work)
        except DomainError as refused:
            return refused.code

    @initialize()
    def people(self) -> None:
        for _ in range(2):
            owner = self.runner.run(registered(self.desk.transactions))
            self.users.append(owner)
            self.keys[owner] = {}
            made = self.runner.run(self.tools.create_agent()(owner, AgentDraft(name="a")))
            self.agents[owner] = made.agent_id, None

    @property
    def tools(self) -> ToolDesk:
        return ToolDesk(self.desk.transactions)

    def any_model(self, which: int) -> ModelId:
        return self.made[which % len(self.made)] if self.made else ModelId("gone")

    @rule(who=WHO, key=KEYS)
    def create(self, who: int, key: str) -> None:
        made = self.runner.run(self.desk.create(self.users[who], api_key=key))
        self.made.append(made.llm_id)
        self.keys[self.users[who]][made.llm_id] = "gpt-4", key

    @rule(who=WHO, which=WHICH, key=st.none() | KEYS, name=st.none() | st.sampled_from(["x", "y"]), mask=st.booleans())
    def change(self, who: int, which: int, key: str | None, name: str | None, mask: bool) -> None:
        owner, llm_id = self.users[who], self.any_model(which)
        known = self.keys[owner].get(llm_id)
        said = masked(known[1]) if mask and known else key
        changed = self.run(self.desk.change(owner, llm_id, api_key=said, model=name))
        if known is None:
            assert changed == "llm_not_found"
        else:
            self.keys[owner][llm_id] = name or known[0], known[1] if mask else key or known[1]

    @rule(who=WHO, which=WHICH)
    def delete(self, who: int, which: int) -> None:
        owner, llm_id = self.users[who], self.any_model(which)
        gone = self.run(self.desk.delete(owner, llm_id))
        assert gone == (None if self.keys[owner].pop(llm_id, None) else "llm_not_found")
        agent_id, linked = self.agents[owner]
        if gone is None and linked == llm_id:
            self.agents[owner] = agent_id, None

    @rule(who=WHO, which=WHICH)
    def link(self, who: int, which: int) -> None:
        owner, llm_id = self.users[who], self.any_model(which)
        agent_id, _ = self.agents[owner]
        linked = self.run(self.tools.change_agent()(owner, agent_id, AgentDraft(llm_id=llm_id)))
        if llm_id in self.keys[owner]:
            self.agents[owner] = agent_id, llm_id
        else:
            assert linked == "llm_not_found"

    @invariant()
    def each_has_his_own(self) -> None:
        for owner, known in self.keys.items():
            shown = self.runner.run(self.desk.own(owner))
            told = {one.spec.llm_id: (one.spec.model, one.api_key) for one in shown}
            assert told == {llm_id: (name, masked(key)) for llm_id, (name, key) in known.items()}
            agent_id, linked = self.agents[owner]
            answering = self.runner.run(self._answering(owner, agent_id))
            assert answering == (linked or SYSTEM)
            assert self.runner.run(self._keys(owner)) == {llm_id: key for llm_id, (_, key) in known.items()}

    async def _answering(self, owner: UserId, agent_id: AgentId) -> ModelId:
        async with self.desk.transactions.autocommit() as tx:
            agent = await tx.agents.get(agent_id, owner=owner)
        return (await self.desk.find(owner, agent.llm_id)).llm_id

    async def _keys(self, owner: UserId) -> dict[ModelId, str]:
        async with self.desk.transactions.autocommit() as tx:
            stored = await tx.models.list(Window(), owner=owner)
        return {one.llm_id: self.desk.seals.key(one) for one in stored}

    def teardown(self) -> None:
        self.runner.run(self.desk.transactions.aclose())
        self.runner.close()


def test_nobody_sees_or_changes_another_s_models(database_url: str) -> None:
    run_state_machine_as_test(
        lambda: TwoPeople(database_url), settings=settings(max_examples=6, stateful_step_count=20)
    )
