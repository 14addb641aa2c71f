"""Those who learn from what users said: the job, the model that it asks, and what it paid for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from adapters.offline import OfflineChatModel
from adapters.scripted import ScriptedChatModel, ScriptedChatModels, delta, finished
from adapters.scripted.embedder import ScriptedEmbedders
from adapters.scripted.steps import Step
from application.asking.asides import AskAside
from application.chat.recalling import Recall
from application.knowledge.query_turns import QueryTurns
from application.memory.embedded_memories import EmbedMemories
from application.memory.remembering import Remember
from application.models.models import FindModel, ModelCatalogue
from application.ports.chat_model import ChatModels
from application.ports.job_queue import Again, Job, JobKind
from chat_desk import SEALS
from domain.agents.agents import Agent
from domain.conversation.conversation import UserTurn
from domain.dialogs.dialog_subjects import dialog_subject
from domain.ids import AgentId, DialogId, ModelId, RunId, UserId
from domain.models.attempts import Attempt
from domain.models.models import ModelSpec, Provider
from model_asking import TheOne, asked_models
from remembering import owner_of
from stored import DIALOG, seconds

SPEC = ModelSpec(ModelId("scripted"), Provider.OFFLINE, "scripted", context_window=8_000)


def add(text: str, quote: str) -> dict[str, Any]:
    return {"op": "add", "text": text, "quote": quote}


def answer(*operations: dict[str, Any]) -> list[Step]:
    return [delta(json.dumps({"operations": operations})), finished()]


@dataclass
class Attempts:
    kept: list[tuple[UserId, AgentId | None, Attempt]] = field(default_factory=list)
    begun: dict[str, Sequence[Attempt]] = field(default_factory=dict)

    async def begin(self, owner: UserId, agent_id: AgentId | None, call: str, attempts: Sequence[Attempt]) -> None:
        self.begun[call] = attempts

    async def add(
        self,
        owner: UserId,
        agent_id: AgentId | None,
        run_id: RunId | None,
        attempts: Sequence[Attempt],
        call: str | None = None,
    ) -> None:
        assert run_id is None
        assert call in self.begun
        self.kept += [(owner, agent_id, one) for one in attempts]


class School:
    """A process that does the jobs, and a model that reads lessons; the offline one without a script."""

    def __init__(self, transactions: DatabaseTransactions, *turns: Sequence[Step], spec: ModelSpec = SPEC) -> None:
        self.transactions = transactions
        self.model = ScriptedChatModel(turns=turns)
        self.ledger, self.clock, self.troubles = Attempts(), SetClock(seconds(500)), list[Exception]()
        self.embedders = ScriptedEmbedders()
        models: ChatModels = ScriptedChatModels(self.model) if turns else TheOne(OfflineChatModel(delay_seconds=0))
        find = FindModel(transactions, ModelCatalogue.of([spec], spec.llm_id), SEALS)
        self.embed = EmbedMemories(self.embedders, QueryTurns(), self.troubles.append, 0.2, 0.2)
        ask = AskAside(asked_models(models), self.ledger, self.clock)
        self.remember = Remember(transactions, find, ask, self.embed, self.clock)
        self.recall = Recall(transactions, self.embed, self.troubles.append)

    async def learn(self, one: Agent, dialog_id: str = DIALOG, most: int = 20) -> Again | None:
        """As a worker does, without its pauses; the last word of the job."""
        again: Again | None = Again()
        while again is not None and not again.delay and most:
            again = await self.remember(Job(JobKind.REMEMBER, dialog_subject(owner_of(one), DialogId(dialog_id))))
            most -= 1
        assert most
        return again

    @property
    def ended(self) -> dict[str, int]:
        return {how: count for (how,), count in self.remember.statistics.ended}

    def shown(self, number: int = -1) -> Any:
        turn = self.model.requests[number].turns[0]
        assert isinstance(turn, UserTurn)
        return json.loads(turn.text)
