"""The models that agents may use."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.persistence import Scene, Transactions
from application.sealing import Seals
from domain.errors import NotFound
from domain.ids import ModelId, UserId
from domain.models import ModelKind, ModelSpec
from domain.text import search_key


@dataclass(frozen=True, slots=True)
class ModelCatalogue:
    """The system's models, in the order of the configuration. `default_id` names one of them."""

    specs: tuple[ModelSpec, ...]
    default_id: ModelId

    @classmethod
    def of(cls, specs: Sequence[ModelSpec], default_id: ModelId) -> "ModelCatalogue":
        """Raises NotFound when the default is none of them, ValueError when two have one name."""
        catalogue = cls(tuple(specs), default_id)
        if len({spec.llm_id for spec in specs}) < len(specs):
            raise ValueError("two models have the same name")
        catalogue.default()
        return catalogue

    def get(self, llm_id: ModelId) -> ModelSpec:
        for spec in self.specs:
            if spec.llm_id == llm_id:
                return spec
        raise NotFound("llm", llm_id)

    def default(self) -> ModelSpec:
        return self.get(self.default_id)

    def answering(self, llm_id: ModelId) -> ModelSpec:
        """A model that an agent may have: an embedding model answers nobody."""
        spec = self.get(llm_id)
        if spec.kind is not ModelKind.LLM:
            raise NotFound("llm", llm_id)
        return spec

    def search(self, part: str) -> Sequence[ModelSpec]:
        """Those whose name here or at the provider holds `part`, whatever its case."""
        key = search_key(part.strip())
        return [spec for spec in self.specs if key in search_key(spec.llm_id) or key in search_key(spec.model)]


@dataclass(frozen=True, slots=True)
class FindModel:
    """Which model answers: the system's of that name, else one of the owner's own."""

    transactions: Transactions
    catalogue: ModelCatalogue
    seals: Seals

    async def __call__(self, owner: UserId, llm_id: ModelId | None) -> ModelSpec:
        """The default model for none. The system's cost no statement. Raises NotFound, for embedding models too."""
        del owner
        return self.catalogue.answering(llm_id) if llm_id else self.catalogue.default()

    async def in_scene(self, owner: UserId, llm_id: ModelId | None, scene: Scene) -> ModelSpec:
        """The same without a statement where the scene has the agent's own model."""
        del scene
        return await self(owner, llm_id)


@dataclass(frozen=True, slots=True)
class ListModels:
    transactions: Transactions
    catalogue: ModelCatalogue

    async def __call__(self, actor: UserId) -> Sequence[ModelSpec]:
        async with self.transactions.autocommit() as tx:
            await tx.users.caller(actor)
        return self.catalogue.specs


@dataclass(frozen=True, slots=True)
class SearchModels:
    transactions: Transactions
    catalogue: ModelCatalogue

    async def __call__(self, actor: UserId, part: str) -> Sequence[ModelSpec]:
        async with self.transactions.autocommit() as tx:
            await tx.users.caller(actor)
        return self.catalogue.search(part)


@dataclass(frozen=True, slots=True)
class ListOwnModels:
    """Users bring no models of their own yet."""

    transactions: Transactions

    async def __call__(self, actor: UserId) -> Sequence[ModelSpec]:
        async with self.transactions.autocommit() as tx:
            await tx.users.caller(actor)
        return ()


@dataclass(frozen=True, slots=True)
class ShowModel:
    transactions: Transactions
    catalogue: ModelCatalogue

    async def __call__(self, actor: UserId, llm_id: ModelId) -> ModelSpec:
        async with self.transactions.autocommit() as tx:
            await tx.users.caller(actor)
        return self.catalogue.get(llm_id)
