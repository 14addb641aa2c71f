"""Models that people bring, for tests: the use cases over a database, and connections that nobody opened."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.database.transactions import DatabaseTransactions
from adapters.security import FernetBox
from application.models.models import FindModel, ListModels, ListOwnModels, ModelCatalogue, ShowModel, ShownModel
from application.models.own_models import ChangeOwnModel, CreateOwnModel, DeleteOwnModel, DraftedModels
from application.paging import Window
from application.sealing import Seals
from domain.ids import ModelId, UserId, new_id
from domain.models.models import ModelKind, ModelSpec, Provider
from domain.models.own_models import ModelDraft, OwnModel
from stored import NOW
from tool_desk import SECRETS, Clock

SYSTEM = ModelId("offline")
EMBEDDER = ModelId("embedder")
CATALOGUE = ModelCatalogue.of(
    [
        ModelSpec(SYSTEM, Provider.OFFLINE, "offline"),
        ModelSpec(EMBEDDER, Provider.OPENAI, "e", kind=ModelKind.EMBEDDING),
    ],
    SYSTEM,
)
KEY = "sk-0123456789abcdefWXYZ"
MASKED = "sk-…WXYZ"
URL = "https://models.example.org/v1"


def draft(**said: Any) -> ModelDraft:
    return ModelDraft(**({"model": "gpt-4", "provider": Provider.OPENAI, "api_key": KEY} | said))


def own_model(owner: UserId, **said: Any) -> OwnModel:
    """Without a key."""
    return OwnModel.create(ModelId(new_id()), owner, draft(**said), NOW)


@dataclass
class Forgotten:
    """The connections of nobody."""

    keys: list[str] = field(default_factory=list)

    async def forget(self, key_id: str) -> None:
        self.keys.append(key_id)


@dataclass
class ModelDesk:
    transactions: DatabaseTransactions
    secrets: tuple[str, ...] = SECRETS
    connections: Forgotten = field(default_factory=Forgotten)

    @property
    def seals(self) -> Seals:
        return Seals(FernetBox(self.secrets))

    @property
    def drafted(self) -> DraftedModels:
        return DraftedModels(self.seals, Clock())

    @property
    def find(self) -> FindModel:
        return FindModel(self.transactions, CATALOGUE, self.seals)

    async def create(self, owner: UserId, database: Any = None, **said: Any) -> OwnModel:
        return await CreateOwnModel(database or self.transactions, CATALOGUE, self.drafted)(owner, draft(**said))

    async def change(self, owner: UserId, llm_id: ModelId, database: Any = None, **said: Any) -> OwnModel:
        change = ChangeOwnModel(database or self.transactions, CATALOGUE, self.drafted, self.connections)
        return await change(owner, llm_id, ModelDraft(**said))

    async def delete(self, owner: UserId, llm_id: ModelId) -> None:
        await DeleteOwnModel(self.transactions, self.seals, self.connections, Clock())(owner, llm_id)

    async def show(self, owner: UserId, llm_id: ModelId) -> ShownModel:
        return await ShowModel(self.transactions, CATALOGUE, self.seals)(owner, llm_id)

    async def own(self, owner: UserId) -> Sequence[ShownModel]:
        return (await ListOwnModels(self.transactions, self.seals)(owner, Window())).items

    async def every(self, owner: UserId, window: Window = Window()) -> Sequence[ShownModel]:
        return (await ListModels(self.transactions, CATALOGUE, self.seals)(owner, window)).items
