"""The chat over a real database and a scripted model: what one process has, without its HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from account_desk import SetClock
from adapters.database.runs.signals import LocalSignals
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import RequiredArguments, ScriptedChatModel, ScriptedChatModels
from adapters.security import FernetBox
from application.asking.model_places import ModelPlaces
from application.chat.agent_loop import AgentLoop
from application.chat.answering import Answering
from application.chat.approvals import ApproveCall
from application.chat.ask_once import AskOnce
from application.chat.attachments import OpenAttachments
from application.chat.chat import ChatLimits, ChatRequest, StartChat
from application.chat.run_making import MakeRuns
from application.chat.tool_images import OpenToolImages
from application.files.document_reading import ReadDocument, ReaderPlaces
from application.knowledge.retrieval import RetrieveKnowledge
from application.models.models import FindModel, ModelCatalogue
from application.paging import Window
from application.ports.argument_check import ArgumentCheck
from application.ports.guarded_web import GuardedWeb
from application.ports.mcp_connections import McpConnections
from application.ports.run_signals import RunSignals
from application.ports.tool_runner import ToolRunner
from application.runs.after_answers import AfterAnswers, Follower
from application.runs.leases import Leases
from application.runs.live_runs import LiveRun
from application.runs.log_writer import LogWriter
from application.runs.run_closing import CloseAbandoned, KeepAnswer
from application.runs.run_control import FollowRun, ShowRun, StopRun
from application.runs.run_readers import Followed
from application.runs.run_registry import RunRegistry
from application.runs.run_upkeep import FollowedElsewhere, KeepRunsAlive, SweepRuns
from application.runs.stored_runs import StoredRuns
from application.sealing import Seals
from application.tools.builtin_tools import builtin_tools
from application.tools.tool_calls import CallTools
from application.usage.quotas import Quotas
from domain.chat.chat_events import AnswerDelta, Recorded
from domain.dialogs.messages import Message
from domain.ids import DialogId, ModelId, RunId, ToolId, UserId
from domain.models.models import ModelSpec, Provider
from domain.tools.tools import ToolCall
from domain.usage.quotas import Quota
from file_desk import MemoryFiles, PlainParser
from model_asking import asked_models
from stored import user
from tool_desk import SECRETS
from toolboxes import toolbox

SEALS = Seals(FernetBox(SECRETS))


@dataclass(frozen=True)
class SharedSetClock:
    """The database's clock, at the test's hand."""

    clock: SetClock

    async def now(self) -> datetime:
        return self.clock.now()


@dataclass
class ChatDesk:
    transactions: DatabaseTransactions
    model: ScriptedChatModel
    registry: RunRegistry = field(default_factory=lambda: RunRegistry(100, 20))
    clock: SetClock = field(default_factory=SetClock)
    signals: RunSignals = field(default_factory=LocalSignals)
    places: ModelPlaces = field(default_factory=ModelPlaces)
    leases: Leases = field(default_factory=lambda: Leases(30))
    storage: MemoryFiles = field(default_factory=MemoryFiles)
    parser: PlainParser = field(default_factory=PlainParser)
    grace: float = 0
    look_seconds: float = 0.2
    crashes: list[BaseException] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    spec: ModelSpec = ModelSpec(ModelId("scripted"), Provider.OFFLINE, "scripted")
    knowledge: RetrieveKnowledge | None = None
    tools: Mapping[ToolId, ToolRunner] | None = None
    connections: McpConnections | None = None
    web: GuardedWeb | None = None
    check: ArgumentCheck = field(default_factory=RequiredArguments)
    followers: list[Follower] = field(default_factory=list)
    quota: Quota = Quota()

    def __post_init__(self) -> None:
        transactions, clock, registry = self.transactions, self.clock, self.registry
        self.signals.on_stop(registry.stop)
        self.leases.saw(clock.now())
        self.stored = StoredRuns(transactions, self.leases, self.signals, look_seconds=self.look_seconds)
        self.close_abandoned = CloseAbandoned(transactions, clock, self.troubled)
        self.keep = KeepAnswer(
            transactions, registry.beside, self.troubled, first_pause=0.01, used=registry.statistics.used
        )
        places = ReaderPlaces(1)
        read = ReadDocument(transactions, self.storage, self.parser, places, self.troubles.append, refused_seconds=0)
        self.attachments = OpenAttachments(transactions, self.storage, self.parser, places, read)
        elsewhere = FollowedElsewhere(transactions, self.leases)
        after = AfterAnswers(self.followers, registry.beside, self.troubled)
        self.make = MakeRuns(
            transactions, clock, self.leases, self.keep, self.stored, elsewhere, 60, self.crashed, after
        )
        catalogue = ModelCatalogue.of([self.spec], self.spec.llm_id)
        find = FindModel(transactions, catalogue, SEALS)
        answering = Answering(
            asked_models(ScriptedChatModels(self.model), self.places, find),
            toolbox(transactions, self.tools or _built_in(clock), self.connections, self.web),
            self.attachments,
            AgentLoop(4, CallTools(5, self.check, self.tool_crashed), OpenToolImages(self.attachments)),
            self.knowledge,
        )
        quotas = Quotas(transactions, clock, catalogue, self.quota)
        self.start = StartChat(
            transactions,
            clock,
            find,
            self.attachments,
            answering,
            registry,
            self.keep,
            self.leases,
            self.make,
            ChatLimits(100, self.grace),
            quotas,
        )
        self.approve = ApproveCall(transactions, find, answering, self.check, registry, self.leases, self.make, quotas)
        self.once = AskOnce(transactions, clock, registry, self.stored, self.start)
        self.follow = FollowRun(registry, self.stored)
        self.show = ShowRun(registry, self.stored)
        self.stop = StopRun(transactions, self.leases, registry, self.stored, self.close_abandoned, patience=2)
        self.writer = LogWriter(
            registry, transactions, self.troubles.append, self.crashed, self.signals.stored, flush_seconds=0.02
        )
        self.alive = KeepRunsAlive(registry, transactions, self.leases, SharedSetClock(clock), self.troubles.append)
        self.sweep = SweepRuns(
            registry, transactions, self.leases, self.close_abandoned, timedelta(hours=24), self.troubles.append
        )

    async def live_through(self, seconds: int) -> None:
        """Let time pass as it passes for a process: it looks at the shared clock now and then."""
        for _ in range(0, seconds, 10):
            self.clock.pass_time(10)
            await self.alive.once()

    def crashed(self, _: RunId, error: BaseException) -> None:
        self.crashes.append(error)

    def tool_crashed(self, _: ToolCall, error: Exception) -> None:
        self.crashes.append(error)

    def troubled(self, _: RunId, trouble: Exception) -> None:
        self.troubles.append(trouble)

    async def person(self) -> UserId:
        someone = user()
        async with self.transactions.begin() as tx:
            await tx.users.add(someone)
        return someone.user_id

    async def ask(self, actor: UserId, text: str = "hi", dialog: str = "d") -> LiveRun:
        return await self.start(actor, ChatRequest(text, dialog, background=True))

    async def answer(self, actor: UserId, text: str = "hi", dialog: str = "d") -> list[Recorded]:
        return await read(await self.ask(actor, text, dialog))

    async def resumed(self, actor: UserId, run_id: RunId, last_event_id: str | None = None) -> list[Recorded]:
        followed, after = await self.follow(actor, run_id, last_event_id)
        return await read(followed, after)

    async def history(self, actor: UserId, dialog: str = "d") -> Sequence[Message]:
        async with self.transactions.autocommit() as tx:
            return await tx.messages.history(DialogId(dialog), Window(), owner=actor)


def _built_in(clock: SetClock) -> Mapping[ToolId, ToolRunner]:
    return {tool.spec.tool_id: tool for tool in builtin_tools(clock)}


async def read(run: Followed, after: int = 0, most: int = 10**9, heartbeat: float = 60) -> list[Recorded]:
    """What a reader gets from there on, to the end or until it has so many."""
    seen: list[Recorded] = []
    reader = run.attach(after, heartbeat)
    stream = reader.batches()
    try:
        async for batch in stream:
            seen += batch
            if len(seen) >= most:
                break
    finally:
        await stream.aclose()
        run.detach(reader)
    return seen[:most]


def text_of(seen: Sequence[Recorded]) -> str:
    return "".join(one.event.text for one in seen if isinstance(one.event, AnswerDelta))
