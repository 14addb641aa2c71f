"""The part of the object graph that asks models: their limits, their breakers, and who answers for whom."""

from dishka import Provider, Scope, provide

from application.asking.model_attempts import Calling
from application.asking.model_chain import AskModels
from application.asking.model_places import ModelPlaces
from application.asking.model_statistics import ModelStatistics
from application.asking.provider_breakers import Breakers
from application.models.models import FindModel
from application.ports.chat_model import ChatModels
from entrypoints.settings.loading import Settings


class ModelsAsked(Provider):
    """Places, breakers and numbers are those of the process."""

    scope = Scope.APP

    @provide
    def places(self) -> ModelPlaces:
        return ModelPlaces()

    @provide
    def breakers(self) -> Breakers:
        return Breakers()

    @provide
    def statistics(self, settings: Settings) -> ModelStatistics:
        return ModelStatistics(frozenset(settings.models))

    @provide
    def models(
        self,
        providers: ChatModels,
        places: ModelPlaces,
        breakers: Breakers,
        statistics: ModelStatistics,
        find: FindModel,
        settings: Settings,
    ) -> AskModels:
        calling = Calling(providers, places, breakers, statistics)
        return AskModels(calling, find, settings.first_token_timeout_seconds)
