"""The chat over a real database and a scripted model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, ScriptedChatModels
from application.agent_loop import AgentLoop
from application.builtin_tools import builtin_tools
from application.chat import ChatLimits, ChatRequest, KeepAnswer, StartChat
from application.models import ModelCatalogue
from application.paging import Window
from application.run_registry import RunRegistry
from application.runs import Recorded, Run
from domain.errors import DomainError
from domain.ids import DialogId, ModelId, RunId, UserId
from domain.messages import Message
from domain.models import ModelSpec, Provider
from stored import user


@dataclass
class ChatDesk:
    transactions: DatabaseTransactions
    model: ScriptedChatModel
    registry: RunRegistry = field(default_factory=lambda: RunRegistry(100, 20, 30))
    clock: SetClock = field(default_factory=SetClock)
    crashes: list[BaseException] = field(default_factory=list)
    troubles: list[DomainError] = field(default_factory=list)
    spec: ModelSpec = ModelSpec(ModelId("scripted"), Provider.OFFLINE, "scripted")

    def crashed(self, _: RunId, error: BaseException) -> None:
        self.crashes.append(error)

    def troubled(self, _: RunId, trouble: DomainError) -> None:
        self.troubles.append(trouble)

    @property
    def start(self) -> StartChat:
        return StartChat(
            self.transactions,
            self.clock,
            ModelCatalogue.of([self.spec], self.spec.llm_id),
            ScriptedChatModels(self.model),
            {tool.spec.tool_id: tool for tool in builtin_tools(self.clock)},
            AgentLoop(4, 5),
            self.registry,
            KeepAnswer(self.transactions, self.clock, self.troubled, first_pause=0.01),
            ChatLimits(100, 60, 0),
            self.crashed,
        )

    async def person(self) -> UserId:
        someone = user()
        async with self.transactions.begin() as tx:
            await tx.users.add(someone)
        return someone.user_id

    async def ask(self, actor: UserId, text: str = "hi", dialog: str = "d") -> Run:
        return await self.start(actor, ChatRequest(text, dialog, background=True))

    async def answer(self, actor: UserId, text: str = "hi", dialog: str = "d") -> list[Recorded]:
        run = await self.ask(actor, text, dialog)
        return [recorded async for batch in run.attach(0, 60).batches() for recorded in batch]

    async def history(self, actor: UserId, dialog: str = "d") -> Sequence[Message]:
        async with self.transactions.autocommit() as tx:
            return await tx.messages.history(DialogId(dialog), Window(), owner=actor)
