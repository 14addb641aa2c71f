"""The part of the object graph that knows the models: the system's, and those that people bring."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from dishka import Provider, Scope, provide, provide_all

from adapters.web.client import WebClient
from adapters.web.guarded import GuardedHttp
from adapters.web.kept_clients import KeptClients
from application.asking import model_trials
from application.asking.asides import AskAside
from application.models import models, own_models
from application.ports.chat_model import ChatModels, KeptConnections, TryEmbedding
from application.ports.ledger import Ledger
from application.ports.persistence import Transactions
from application.sealed_upkeep import SealAnew
from application.sealing import Seals
from application.usage.quotas import Quotas
from domain.ids import ModelId
from entrypoints.graph.chat_models import ConfiguredModels, EveryModel, timeouts_of
from entrypoints.graph.own_chat_models import EMBEDDING_BYTES, OwnChatModels, OwnEmbeddings
from entrypoints.settings.loading import Settings, model_specs


class Models(Provider):
    """Needs database, clock, seals, GuardedHttp, the WebClient and AskAside, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(
        SealAnew,
        models.FindModel,
        models.ListModels,
        models.ListOwnModels,
        models.SearchModels,
        models.ShowModel,
        own_models.ChangeOwnModel,
        own_models.CreateOwnModel,
        own_models.DeleteOwnModel,
        own_models.DraftedModels,
    )

    @provide
    def catalogue(self, settings: Settings) -> models.ModelCatalogue:
        return models.ModelCatalogue.of(model_specs(settings), ModelId(settings.default_model))

    @provide
    async def own(self, settings: Settings, guarded: GuardedHttp, seals: Seals) -> AsyncIterator[OwnChatModels]:
        own = OwnChatModels(KeptClients(lambda: WebClient(guarded.client)), seals, timeouts_of(settings))
        yield own
        await own.clients.aclose()

    @provide
    def chat_models(self, settings: Settings, http: WebClient, own: OwnChatModels) -> ChatModels:
        return EveryModel(ConfiguredModels(settings, http), own)

    @provide
    def connections(self, own: OwnChatModels) -> KeptConnections:
        return own

    @provide
    def embeddings(self, settings: Settings, guarded: GuardedHttp, seals: Seals) -> TryEmbedding:
        make = partial(guarded.client, max_bytes=EMBEDDING_BYTES)
        return OwnEmbeddings(lambda: WebClient(make), seals, settings.connect_timeout_seconds)

    @provide
    def trials(
        self,
        transactions: Transactions,
        catalogue: models.ModelCatalogue,
        drafted: own_models.DraftedModels,
        ask: AskAside,
        embed: TryEmbedding,
        connections: KeptConnections,
        quotas: Quotas,
        ledger: Ledger,
    ) -> model_trials.TryModel:
        patient = replace(ask, patience=model_trials.PATIENCE_SECONDS)
        gate = model_trials.TrialGate()
        return model_trials.TryModel(
            transactions, catalogue, drafted, patient, embed, connections, gate, quotas, ledger
        )
