"""Dialogs and their history."""

from dataclasses import dataclass, replace

from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.runs.run_closing import CloseAbandoned
from application.runs.run_registry import RunRegistry
from domain.agents.agents import DEFAULT_AGENT
from domain.dialogs.dialogs import UNNAMED, Dialog, parse_dialog_name
from domain.dialogs.messages import Feedback, Message
from domain.errors import NotFound
from domain.ids import AgentId, DialogId, MessageId, UserId, new_id
from domain.runs.runs import RunStatus


@dataclass(frozen=True, slots=True)
class CreateDialog:
    """Without an agent the default one answers."""

    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, *, name: str | None, agent_id: AgentId | None) -> Dialog:
        title = parse_dialog_name(name) if name and name.strip() else UNNAMED
        async with self.transactions.begin() as tx:
            agent = await tx.agents.get(agent_id or DEFAULT_AGENT, owner=actor)
            now = self.clock.now()
            dialog = Dialog(
                DialogId(new_id()),
                actor,
                title,
                agent.agent_id,
                agent.name,
                agent.logo_url,
                created_at=now,
                updated_at=now,
            )
            await tx.dialogs.add(dialog)
        return dialog


@dataclass(frozen=True, slots=True)
class RenameDialog:
    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, dialog_id: DialogId, name: str) -> Dialog:
        title = parse_dialog_name(name)
        async with self.transactions.begin() as tx:
            dialog = await tx.dialogs.get(dialog_id, owner=actor)
            renamed = replace(dialog, name=title, updated_at=self.clock.now())
            await tx.dialogs.save(renamed)
        return renamed


@dataclass(frozen=True, slots=True)
class DeleteDialog:
    """With its messages; an answer in the making is stopped, for nobody could read it. The ledger stays."""

    transactions: Transactions
    runs: RunRegistry
    close: CloseAbandoned

    async def __call__(self, actor: UserId, dialog_id: DialogId) -> None:
        async with self.transactions.autocommit() as tx:
            try:
                run = await tx.runs.open_in(dialog_id, owner=actor)
                await tx.runs.request_stop(run.run_id)
                if run.status is RunStatus.WAITING:
                    # No process makes it, so none would tell what it used.
                    await self.close.waiting(run)
            except NotFound:
                pass  # nothing is in the making there
        async with self.transactions.begin() as tx:
            await tx.dialogs.remove(dialog_id, owner=actor)
        self.runs.stop_all(owner=actor, dialog_id=dialog_id)


@dataclass(frozen=True, slots=True)
class ShowDialog:
    transactions: Transactions

    async def __call__(self, actor: UserId, dialog_id: DialogId) -> Dialog:
        async with self.transactions.autocommit() as tx:
            return await tx.dialogs.get(dialog_id, owner=actor)


@dataclass(frozen=True, slots=True)
class ListDialogs:
    transactions: Transactions

    async def __call__(self, actor: UserId, window: Window) -> Page[Dialog]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.dialogs.list(window, owner=actor)
        return Page.cut(rows, window, lambda dialog: Position(dialog.created_at, dialog.dialog_id))


@dataclass(frozen=True, slots=True)
class ShowHistory:
    """The messages of a dialog, oldest first."""

    transactions: Transactions

    async def __call__(self, actor: UserId, dialog_id: DialogId, window: Window) -> Page[Message]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.messages.history(dialog_id, window, owner=actor)
        return Page.cut(rows, window, lambda message: Position(message.created_at, message.message_id))


@dataclass(frozen=True, slots=True)
class ShowMessage:
    transactions: Transactions

    async def __call__(self, actor: UserId, message_id: MessageId) -> Message:
        async with self.transactions.autocommit() as tx:
            return await tx.messages.get(message_id, owner=actor)


@dataclass(frozen=True, slots=True)
class RateMessage:
    """The last word counts: a like takes back a down, and the other way round."""

    transactions: Transactions

    async def __call__(self, actor: UserId, message_id: MessageId, feedback: Feedback) -> None:
        async with self.transactions.begin() as tx:
            await tx.messages.rate(message_id, feedback, owner=actor)
