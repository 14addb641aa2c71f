"""The part of the object graph that remembers: what is learnt after answers, and recalled before them."""

import logging

from dishka import Provider, Scope, provide, provide_all

from application.asking.asides import AskAside
from application.chat.recalling import Recall
from application.knowledge.retrieval import RetrieveKnowledge
from application.memory import memories
from application.memory.embedded_memories import EmbedMemories
from application.memory.remembering import LessonStatistics, Remember, RememberAnswered
from application.models.models import FindModel
from application.ports.clock import Clock
from application.ports.embedder import Embedders
from application.ports.persistence import Transactions
from entrypoints.told_troubles import tell

log = logging.getLogger("agentchat.memory")


class Memory(Provider):
    """Needs models, embedders and the queue, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(
        RememberAnswered,
        memories.ForgetAll,
        memories.ForgetMemory,
        memories.ListMemories,
        memories.ShowMemory,
    )

    @provide
    def statistics(self) -> LessonStatistics:
        return LessonStatistics()

    @provide
    def embed(self, embedders: Embedders, retrieve: RetrieveKnowledge) -> EmbedMemories:
        # Who waits for the embedding model waits in one line, whatever for.
        return EmbedMemories(embedders, retrieve.turns, _without_vectors)

    @provide
    def recall(self, transactions: Transactions, embed: EmbedMemories) -> Recall:
        return Recall(transactions, embed, _not_recalled)

    @provide
    def remember(
        self,
        transactions: Transactions,
        find_model: FindModel,
        ask: AskAside,
        embed: EmbedMemories,
        clock: Clock,
        statistics: LessonStatistics,
    ) -> Remember:
        return Remember(transactions, find_model, ask, embed, clock, statistics)


def _without_vectors(trouble: Exception) -> None:
    tell(log, "memories_without_vectors", trouble)


def _not_recalled(trouble: Exception) -> None:
    tell(log, "memories_not_recalled", trouble)
