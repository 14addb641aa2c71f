"""Models asked as runs ask them, over whatever plays the providers."""

from application.asking.model_attempts import Calling
from application.asking.model_chain import AskModels, FindModel, ModelChain
from application.asking.model_places import ModelPlaces
from application.asking.model_statistics import ModelStatistics
from application.asking.provider_breakers import Breakers
from application.ports.chat_model import ChatModel, ChatModels
from domain.errors import NotFound
from domain.ids import ModelId, UserId
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec, Provider

ASKER = UserId("asker")
WIDE = ModelSpec(ModelId("scripted"), Provider.OFFLINE, "m", context_window=10_000_000)


class TheOne:
    """Opens one model for every spec."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def open(self, spec: ModelSpec) -> ChatModel:
        del spec
        return self._model


async def knows_none(owner: UserId, llm_id: ModelId) -> ModelSpec:
    del owner
    raise NotFound("llm", llm_id)


def asked_models(
    providers: ChatModels, places: ModelPlaces | None = None, find: FindModel = knows_none, first_token: float = 60
) -> AskModels:
    """Asked again without a pause to speak of."""
    calling = Calling(providers, places or ModelPlaces(), Breakers(), ModelStatistics())
    return AskModels(calling, find, first_token, first_pause=0.001)


def alone(model: ChatModel, *, output_left: int | None = None, spec: ModelSpec = WIDE) -> ModelChain:
    """A run's models, where there is one that never gives way."""
    return asked_models(TheOne(model)).chain(ModelRoute.of(spec), ASKER, output_left=output_left)
