"""The models that agents may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from application.paging import Page, Position, Window
from application.ports.persistence import Scene, Transactions
from application.sealing import Seals
from domain.errors import NotFound
from domain.ids import ModelId, UserId
from domain.models.models import ModelKind, ModelSpec
from domain.models.own_models import OwnModel
from domain.text import search_key

SINCE: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Before every model that a person brought: the system's come behind those in lists."""


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

    @property
    def ids(self) -> Sequence[ModelId]:
        return [spec.llm_id for spec in self.specs]

    def get(self, llm_id: ModelId) -> ModelSpec:
        for spec in self.specs:
            if spec.llm_id == llm_id:
                return spec
        raise NotFound("llm", llm_id)

    def has(self, llm_id: ModelId) -> bool:
        return any(spec.llm_id == llm_id for spec in self.specs)

    def default(self) -> ModelSpec:
        return self.get(self.default_id)

    def answering(self, llm_id: ModelId) -> ModelSpec:
        """A model that an agent may have: an embedding model answers nobody."""
        spec = self.get(llm_id)
        if spec.kind is not ModelKind.LLM:
            raise NotFound("llm", llm_id)
        return spec


@dataclass(frozen=True, slots=True)
class FindModel:
    """Which model answers: the system's of that name, else one of the owner's own."""

    transactions: Transactions
    catalogue: ModelCatalogue
    seals: Seals

    async def __call__(self, owner: UserId, llm_id: ModelId | None) -> ModelSpec:
        """The default model for none. The system's cost no statement. Raises NotFound, for embedding models too."""
        if not llm_id:
            return self.catalogue.default()
        if self.catalogue.has(llm_id):
            return self.catalogue.answering(llm_id)
        async with self.transactions.autocommit() as tx:
            return self._own(await tx.models.get(llm_id, owner=owner))

    async def in_scene(self, owner: UserId, llm_id: ModelId | None, scene: Scene) -> ModelSpec:
        """The same without a statement where the scene has the agent's own model."""
        if llm_id and scene.model and scene.model.llm_id == llm_id and not self.catalogue.has(llm_id):
            return self._own(scene.model)
        return await self(owner, llm_id)

    def _own(self, model: OwnModel) -> ModelSpec:
        if model.kind is not ModelKind.LLM:
            raise NotFound("llm", model.llm_id)
        return self.seals.model(model)


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A model as it is listed. `api_key` is masked; None for the system's, whose keys are nobody's matter."""

    spec: ModelSpec
    position: Position
    api_key: str | None = None
    updated_at: datetime | None = None

    @classmethod
    def own(cls, model: OwnModel, seals: Seals) -> "ShownModel":
        place = Position(model.created_at, model.llm_id)
        return cls(seals.model(model), place, seals.masked_key(model), model.updated_at)

    def matches(self, key: str) -> bool:
        return key in search_key(self.spec.llm_id) or key in search_key(self.spec.model)


@dataclass(frozen=True, slots=True)
class ListModels:
    """The caller's own, newest first, then the system's in the order of the configuration."""

    transactions: Transactions
    catalogue: ModelCatalogue
    seals: Seals

    async def __call__(self, actor: UserId, window: Window) -> Page[ShownModel]:
        return await self.matching(actor, window, "")

    async def matching(self, actor: UserId, window: Window, part: str) -> Page[ShownModel]:
        """Those whose name here or at the provider holds `part`, whatever its case."""
        key = search_key(part.strip())
        async with self.transactions.autocommit() as tx:
            # All of them: nobody has many, and a search looks through their names.
            own = await tx.models.list(Window(None, window.after), owner=actor)
        shown = [*(ShownModel.own(one, self.seals) for one in own), *_behind(self.catalogue, window)]
        return Page.cut([one for one in shown if one.matches(key)][: window.fetch], window, _position)


@dataclass(frozen=True, slots=True)
class SearchModels:
    models: ListModels

    async def __call__(self, actor: UserId, part: str, window: Window) -> Page[ShownModel]:
        return await self.models.matching(actor, window, part)


@dataclass(frozen=True, slots=True)
class ListOwnModels:
    """Newest first."""

    transactions: Transactions
    seals: Seals

    async def __call__(self, actor: UserId, window: Window) -> Page[ShownModel]:
        async with self.transactions.autocommit() as tx:
            own = await tx.models.list(window, owner=actor)
        return Page.cut([ShownModel.own(one, self.seals) for one in own], window, _position)


@dataclass(frozen=True, slots=True)
class ShowModel:
    transactions: Transactions
    catalogue: ModelCatalogue
    seals: Seals

    async def __call__(self, actor: UserId, llm_id: ModelId) -> ShownModel:
        async with self.transactions.autocommit() as tx:
            for shown in _listed(self.catalogue):
                if shown.spec.llm_id == llm_id:
                    await tx.users.caller(actor)
                    return shown
            return self.own(await tx.models.get(llm_id, owner=actor))

    def own(self, model: OwnModel) -> ShownModel:
        return ShownModel.own(model, self.seals)


def _listed(catalogue: ModelCatalogue) -> Sequence[ShownModel]:
    """Each a little older than the one before: so the order of the configuration is that of lists."""
    return [
        ShownModel(spec, Position(SINCE - timedelta(microseconds=place), spec.llm_id))
        for place, spec in enumerate(catalogue.specs)
    ]


def _behind(catalogue: ModelCatalogue, window: Window) -> Sequence[ShownModel]:
    after = window.after
    return [one for one in _listed(catalogue) if after is None or _key(one.position) < _key(after)]


def _key(position: Position) -> tuple[datetime, str]:
    return position.created_at, position.identifier


def _position(shown: ShownModel) -> Position:
    return shown.position
