"""The part of the object graph that keeps accounts of what models were asked, and limits it."""

import logging
from datetime import timedelta

from dishka import Provider, Scope, provide, provide_all

from application.jobs.lasting_trouble import LastingTrouble
from application.models.models import ModelCatalogue
from application.ports.clock import Clock
from application.ports.ledger import Ledger
from application.ports.persistence import Transactions
from application.runs.run_registry import RunRegistry
from application.usage.quotas import Quotas, ShowQuota
from application.usage.usage import ForgetUsage, KeepUsage, ReportUsage
from domain.usage.quotas import Quota
from domain.usage.usage import NANOS_A_UNIT
from entrypoints.settings.loading import Settings

log = logging.getLogger("agentchat.usage")


class Usage(Provider):
    """The ledger, its reports and the quotas of a day."""

    scope = Scope.APP
    use_cases = provide_all(ReportUsage, ShowQuota)

    @provide
    def ledger(self, transactions: Transactions, registry: RunRegistry) -> Ledger:
        return KeepUsage(transactions, registry.statistics.used)

    @provide
    def quota(self, settings: Settings) -> Quota:
        return quota_of(settings)

    @provide
    def quotas(self, transactions: Transactions, clock: Clock, catalogue: ModelCatalogue, quota: Quota) -> Quotas:
        return Quotas(transactions, clock, catalogue, quota)

    @provide
    def forget(self, transactions: Transactions, clock: Clock, settings: Settings) -> ForgetUsage:
        trouble = LastingTrouble(log, "usage_not_forgotten", "usage_forgotten")
        retention = timedelta(days=settings.usage_retention_days)
        return ForgetUsage(transactions, clock, retention, trouble.came, trouble.passed)


def quota_of(settings: Settings) -> Quota:
    given = settings.quota
    cost = None if given.cost_per_day is None else round(given.cost_per_day * NANOS_A_UNIT)
    return Quota(given.tokens_per_day, given.runs_per_day, cost)
