"""The part of the object graph that goes on after an answer: who is told of it, and who does the jobs it leads to."""

import logging
from collections.abc import Mapping
from typing import NewType

from dishka import Provider, Scope, provide, provide_all

from application.asking.asides import AskAside
from application.asking.model_chain import AskModels
from application.dialogs.summaries import Summarise, WantSummary
from application.jobs.jobs_by_kind import DoJob
from application.memory.remembering import Remember, RememberAnswered
from application.ports.clock import Clock
from application.ports.job_queue import JobHandler, JobKind
from application.ports.ledger import Ledger
from application.runs.after_answers import AfterAnswers
from application.runs.run_registry import RunRegistry
from domain.ids import RunId
from entrypoints.told_troubles import tell

log = logging.getLogger("agentchat.asides")

KnowledgeJobs = NewType("KnowledgeJobs", Mapping[JobKind, JobHandler])


class Asides(Provider):
    """Whoever follows answers, or does a kind of jobs, is one line more."""

    scope = Scope.APP
    use_cases = provide_all(Summarise, WantSummary)

    @provide
    def aside(self, models: AskModels, ledger: Ledger, clock: Clock) -> AskAside:
        return AskAside(models, ledger, clock)

    @provide
    def after(self, registry: RunRegistry, want_summary: WantSummary, remember: RememberAnswered) -> AfterAnswers:
        return AfterAnswers((want_summary, remember), registry.beside, _not_followed)

    @provide
    def jobs(self, knowledge: KnowledgeJobs, summarise: Summarise, remember: Remember) -> JobHandler:
        return DoJob({**knowledge, JobKind.SUMMARISE: summarise, JobKind.REMEMBER: remember})


def _not_followed(run_id: RunId, trouble: Exception) -> None:
    tell(log, "answer_not_followed", trouble, run_id=run_id)
