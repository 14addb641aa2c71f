"""The part of the object graph that answers questions: runs, what limits them, and what looks after them."""

import logging
from collections.abc import Mapping
from datetime import timedelta

from dishka import Provider, Scope, provide, provide_all

from application.asking.model_chain import AskModels
from application.chat.agent_loop import AgentLoop
from application.chat.answering import Answering
from application.chat.approvals import ApproveCall
from application.chat.ask_once import AskOnce
from application.chat.attachments import OpenAttachments
from application.chat.chat import ChatLimits, StartChat
from application.chat.recalling import Recall
from application.chat.run_making import MakeRuns
from application.chat.tool_images import OpenToolImages
from application.chat.toolbox import Toolbox
from application.jobs.lasting_trouble import LastingTrouble
from application.knowledge.retrieval import RetrieveKnowledge
from application.models.models import FindModel
from application.ports.api_documents import ApiDocuments
from application.ports.argument_check import ArgumentCheck
from application.ports.clock import Clock, SharedClock
from application.ports.mcp_connections import McpConnections
from application.ports.persistence import Transactions
from application.ports.run_signals import RunSignals
from application.ports.tool_runner import ToolRunner
from application.runs import run_control
from application.runs.after_answers import AfterAnswers
from application.runs.leases import Leases
from application.runs.log_writer import LogWriter
from application.runs.run_closing import CloseAbandoned, KeepAnswer
from application.runs.run_registry import RunRegistry
from application.runs.run_statistics import RunStatistics
from application.runs.run_upkeep import FollowedElsewhere, KeepRunsAlive, SweepRuns
from application.runs.stored_runs import StoredRuns
from application.tools.mcp_servers import LoadMcpServers
from application.tools.own_tools import OpenOwnTools
from application.tools.tool_calls import CallTools
from application.tools.tools import LoadTools
from application.usage.quotas import Quotas
from domain.errors import DomainError
from domain.ids import RunId, ToolId
from domain.tools.tools import ToolCall
from entrypoints.settings.loading import Settings

log = logging.getLogger("agentchat.runs")

Tools = Mapping[ToolId, ToolRunner]


class Chat(Provider):
    """The main job."""

    scope = Scope.APP
    use_cases = provide_all(run_control.FollowRun, run_control.ShowRun)

    @provide
    def registry(self, settings: Settings) -> RunRegistry:
        statistics = RunStatistics(frozenset(settings.models))
        return RunRegistry(settings.max_concurrent_runs, settings.max_runs_per_user, statistics=statistics)

    @provide
    def leases(self, settings: Settings) -> Leases:
        return Leases(settings.lease_seconds)

    @provide
    def close_abandoned(self, transactions: Transactions, clock: Clock) -> CloseAbandoned:
        return CloseAbandoned(transactions, clock, on_trouble=_close_trouble)

    @provide
    def alive(
        self, registry: RunRegistry, transactions: Transactions, leases: Leases, shared_clock: SharedClock
    ) -> KeepRunsAlive:
        lost = LastingTrouble(log, "leases_not_renewed", "leases_renewed")
        return KeepRunsAlive(registry, transactions, leases, shared_clock, lost.came, lost.passed)

    @provide
    def sweep(
        self,
        registry: RunRegistry,
        transactions: Transactions,
        leases: Leases,
        close_abandoned: CloseAbandoned,
        settings: Settings,
    ) -> SweepRuns:
        retention = timedelta(hours=settings.run_log_retention_hours)
        trouble = LastingTrouble(log, "runs_not_swept", "runs_swept")
        return SweepRuns(registry, transactions, leases, close_abandoned, retention, trouble.came, trouble.passed)

    @provide
    def log_writer(self, registry: RunRegistry, transactions: Transactions, signals: RunSignals) -> LogWriter:
        return LogWriter(registry, transactions, _log_trouble, _crashed, signals.stored)

    @provide
    def keep(self, transactions: Transactions, registry: RunRegistry) -> KeepAnswer:
        return KeepAnswer(transactions, registry.beside, on_trouble=_store_trouble, used=registry.statistics.used)

    @provide
    def stored(self, transactions: Transactions, leases: Leases, signals: RunSignals) -> StoredRuns:
        return StoredRuns(transactions, leases, signals)

    @provide
    def stop(
        self,
        transactions: Transactions,
        leases: Leases,
        registry: RunRegistry,
        stored: StoredRuns,
        close_abandoned: CloseAbandoned,
    ) -> run_control.StopRun:
        return run_control.StopRun(transactions, leases, registry, stored, close_abandoned)

    @provide
    def ask_once(
        self, transactions: Transactions, clock: Clock, registry: RunRegistry, stored: StoredRuns, start: StartChat
    ) -> AskOnce:
        return AskOnce(transactions, clock, registry, stored, start)

    @provide
    def toolbox(
        self,
        tools: Tools,
        load_tools: LoadTools,
        documents: ApiDocuments,
        load_servers: LoadMcpServers,
        connections: McpConnections,
    ) -> Toolbox:
        return Toolbox(tools, OpenOwnTools(load_tools, documents), load_servers, connections, _listing_defect)

    @provide
    def answering(
        self,
        models: AskModels,
        toolbox: Toolbox,
        attachments: OpenAttachments,
        knowledge: RetrieveKnowledge,
        recall: Recall,
        check: ArgumentCheck,
        settings: Settings,
    ) -> Answering:
        calls = CallTools(settings.tool_timeout_seconds, check, _tool_defect)
        loop = AgentLoop(settings.max_agent_turns, calls, OpenToolImages(attachments))
        return Answering(models, toolbox, attachments, loop, knowledge, recall)

    @provide
    def make(
        self,
        transactions: Transactions,
        clock: Clock,
        leases: Leases,
        keep: KeepAnswer,
        stored: StoredRuns,
        after: AfterAnswers,
        settings: Settings,
    ) -> MakeRuns:
        elsewhere = FollowedElsewhere(transactions, leases)
        seconds = settings.max_run_seconds
        return MakeRuns(transactions, clock, leases, keep, stored, elsewhere, seconds, _crashed, after)

    @provide
    def approve(
        self,
        transactions: Transactions,
        find_model: FindModel,
        answering: Answering,
        check: ArgumentCheck,
        registry: RunRegistry,
        leases: Leases,
        make: MakeRuns,
        quotas: Quotas,
    ) -> ApproveCall:
        return ApproveCall(transactions, find_model, answering, check, registry, leases, make, quotas)

    @provide
    def start(
        self,
        transactions: Transactions,
        clock: Clock,
        find_model: FindModel,
        attachments: OpenAttachments,
        answering: Answering,
        registry: RunRegistry,
        keep: KeepAnswer,
        leases: Leases,
        make: MakeRuns,
        quotas: Quotas,
        settings: Settings,
    ) -> StartChat:
        return StartChat(
            transactions,
            clock,
            find_model,
            attachments,
            answering,
            registry,
            keep,
            leases,
            make,
            ChatLimits(settings.max_input_chars, settings.disconnect_grace_seconds),
            quotas,
        )


def _listing_defect(defect: Exception) -> None:
    log.error("mcp_listing_crashed", exc_info=defect)


def _tool_defect(call: ToolCall, defect: Exception) -> None:
    log.error("tool_crashed", extra={"tool": call.name}, exc_info=defect)


def _crashed(run_id: RunId, error: BaseException) -> None:
    log.error("run_crashed", extra={"run_id": run_id}, exc_info=error)


def _store_trouble(run_id: RunId, trouble: Exception) -> None:
    log.warning("answer_not_stored_yet", extra={"run_id": run_id}, exc_info=_defect(trouble))


def _close_trouble(run_id: RunId, trouble: Exception) -> None:
    log.error("abandoned_run_not_closed", extra={"run_id": run_id}, exc_info=trouble)


def _log_trouble(trouble: Exception) -> None:
    log.warning("run_log_not_written_yet", exc_info=_defect(trouble))


def _defect(trouble: Exception) -> Exception | None:
    """An outage needs no traceback: the database's own line says what it is."""
    return None if isinstance(trouble, DomainError | TimeoutError) else trouble
