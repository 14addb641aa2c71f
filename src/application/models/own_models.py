"""Models that people bring: made, changed and removed by their owner."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.models.models import ModelCatalogue
from application.ports.chat_model import KeptConnections
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from application.sealing import Seals
from domain.errors import Conflict, InvalidValue, NotFound
from domain.ids import ModelId, UserId, new_id
from domain.models.own_models import MODELS_MAX, ModelDraft, OwnModel, model_key


@dataclass(frozen=True, slots=True)
class DraftedModels:
    """From what a person says to a model with its key sealed."""

    seals: Seals
    clock: Clock

    def made(self, owner: UserId, draft: ModelDraft) -> OwnModel:
        """Raises InvalidValue."""
        model = OwnModel.create(ModelId(new_id()), owner, draft, self.clock.now())
        return self._with_key(model, model_key(draft.api_key or ""))

    def changed(self, stored: OwnModel, draft: ModelDraft) -> OwnModel:
        """Keeps the key where none, or its mask, is said. Raises InvalidValue, also `auth_needed_again`."""
        model = stored.change(draft, self.clock.now())
        if draft.api_key is not None and draft.api_key.strip() != self.seals.masked_key(stored):
            return self._with_key(model, model_key(draft.api_key))
        if stored.sealed_key and model.place != stored.place:
            message = "is stored for another provider or base_url: send it again"
            raise InvalidValue("api_key", message, code="auth_needed_again")
        _require_key(model, stored.sealed_key)
        return model

    def _with_key(self, model: OwnModel, key: str) -> OwnModel:
        _require_key(model, key)
        return self.seals.with_key(model, key)


@dataclass(frozen=True, slots=True)
class CreateOwnModel:
    transactions: Transactions
    catalogue: ModelCatalogue
    drafted: DraftedModels

    async def __call__(self, actor: UserId, draft: ModelDraft) -> OwnModel:
        """Raises InvalidValue, NotFound for a fallback, Conflict `too_many_models`."""
        model = self.drafted.made(actor, draft)
        async with self.transactions.begin() as tx:
            await tx.users.locked(actor)
            if await tx.models.count(owner=actor) >= MODELS_MAX:
                raise Conflict("too_many_models", f"An account has at most {MODELS_MAX} models: delete one first.")
            await _check_fallbacks(tx, self.catalogue, model.fallbacks, actor)
            await tx.models.add(model)
        return model


@dataclass(frozen=True, slots=True)
class ChangeOwnModel:
    """From the next call on; answers in the making go on as they began."""

    transactions: Transactions
    catalogue: ModelCatalogue
    drafted: DraftedModels
    connections: KeptConnections

    async def __call__(self, actor: UserId, llm_id: ModelId, draft: ModelDraft) -> OwnModel:
        """Raises InvalidValue, NotFound."""
        async with self.transactions.begin() as tx:
            # First: of two who change models that fall back on each other, each would wait for the other.
            await tx.users.locked(actor)
            stored = await tx.models.get(llm_id, owner=actor)
            model = self.drafted.changed(stored, draft)
            if draft.fallbacks is not None:
                await _check_fallbacks(tx, self.catalogue, model.fallbacks, actor)
            await tx.models.save(model)
        await forget(self.connections, self.drafted.seals, stored)
        return model


@dataclass(frozen=True, slots=True)
class DeleteOwnModel:
    """Agents that had it take the default model from then on."""

    transactions: Transactions
    seals: Seals
    connections: KeptConnections
    clock: Clock

    async def __call__(self, actor: UserId, llm_id: ModelId) -> None:
        async with self.transactions.begin() as tx:
            await tx.users.locked(actor)
            stored = await tx.models.get(llm_id, owner=actor)
            await tx.models.remove(llm_id, self.clock.now(), owner=actor)
        await forget(self.connections, self.seals, stored)


async def forget(connections: KeptConnections, seals: Seals, model: OwnModel) -> None:
    """What is open with the key that the model had. Other models with that key open it again."""
    await connections.forget(seals.model(model).key_id)


def _require_key(model: OwnModel, key: str) -> None:
    if model.needs_key and not key:
        raise InvalidValue("api_key", f"is required for {model.provider.value}")


async def _check_fallbacks(
    tx: Transaction, catalogue: ModelCatalogue, fallbacks: Sequence[ModelId], owner: UserId
) -> None:
    own = [one for one in fallbacks if not catalogue.has(one)]
    held = await tx.models.held(own, owner=owner) if own else frozenset()
    for one in fallbacks:
        if catalogue.has(one):
            catalogue.answering(one)
        elif one not in held:
            raise NotFound("llm", one)
