"""Conversations that programs keep themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Text, and_, bindparam, exists, func, literal_column, select

from adapters.database.conversations.conversation_tables import told_conversations
from adapters.database.conversations.message_rows import to_rounds
from adapters.database.dialects import INSERT, for_each
from adapters.database.owners import OWNER, beside_owner, owned_rows
from adapters.database.session import Session
from adapters.database.tables import dialogs, messages
from application.ports.conversations import KeptAnswer
from domain.dialogs.messages import AnswerStatus
from domain.ids import DialogId, MessageId, UserId

CANDIDATES: Final = 200
"""A program may begin every conversation with the same words."""
_SPACES: Final = " \n\r\t"

_CONVERSATION: Final = bindparam("conversation", type_=Text)
_THIS: Final = and_(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == bindparam("dialog", type_=Text))
# From the dialog's own row: of one that is gone there is nothing to keep, and nothing that refers to nothing.
_row: Final = select(dialogs.c.user_id, dialogs.c.dialog_id, _CONVERSATION).where(_THIS)
_COLUMNS: Final = ["user_id", "dialog_id", "conversation"]


def _told(dialect: str) -> Any:
    statement = INSERT[dialect](told_conversations).from_select(_COLUMNS, _row)
    changed = {"conversation": statement.excluded.conversation}
    return statement.on_conflict_do_update(index_elements=["user_id", "dialog_id"], set_=changed)


_TOLD: Final = for_each(_told)
# Ids of such dialogs are in the order of their making.
_candidates: Final = (
    select(told_conversations.c.user_id, told_conversations.c.dialog_id)
    .where(told_conversations.c.user_id == OWNER, told_conversations.c.conversation == _CONVERSATION)
    .order_by(told_conversations.c.dialog_id.desc())
    .limit(CANDIDATES)
    .subquery("candidates")
)
_newest: Final = messages.alias("newest")
_last: Final = (
    select(_newest.c.position)
    .where(_newest.c.user_id == _candidates.c.user_id, _newest.c.dialog_id == _candidates.c.dialog_id)
    .order_by(_newest.c.position.desc())
    .limit(1)
    .correlate(_candidates)
    .scalar_subquery()
)
_FIND: Final = beside_owner(
    select(_candidates.c.dialog_id)
    .select_from(
        _candidates.join(
            messages,
            and_(
                messages.c.user_id == _candidates.c.user_id,
                messages.c.dialog_id == _candidates.c.dialog_id,
                messages.c.position == _last,
            ),
        )
    )
    .where(
        messages.c.status != literal_column("'running'"),
        func.trim(messages.c.content, _SPACES) == bindparam("answer", type_=Text),
    )
    .order_by(_candidates.c.dialog_id.desc())
    .limit(1)
    .subquery("found")
)
_later: Final = messages.alias("later")
_OF_ANSWER: Final = beside_owner(
    select(messages.c.dialog_id)
    .select_from(
        messages.join(
            told_conversations,
            and_(
                told_conversations.c.user_id == messages.c.user_id,
                told_conversations.c.dialog_id == messages.c.dialog_id,
            ),
        )
    )
    .where(
        messages.c.message_id == bindparam("answer", type_=Text),
        messages.c.user_id == OWNER,
        messages.c.status != literal_column("'running'"),
        told_conversations.c.conversation == _CONVERSATION,
        ~exists().where(
            _later.c.user_id == messages.c.user_id,
            _later.c.dialog_id == messages.c.dialog_id,
            _later.c.position > messages.c.position,
        ),
    )
    .subquery("found")
)
_ANSWERS: Final = beside_owner(
    select(messages.c.message_id, messages.c.content, messages.c.rounds, messages.c.status)
    .where(
        messages.c.user_id == OWNER,
        messages.c.message_id.in_(bindparam("ids", type_=Text, expanding=True)),
        messages.c.status.is_not(None),
    )
    .subquery("answers")
)


class ConversationRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def told(self, dialog_id: DialogId, conversation: str, *, owner: UserId) -> None:
        values = {"owner": owner, "dialog": dialog_id, "conversation": conversation}
        await self._session.written(_TOLD[self._dialect], values)

    async def find(self, conversation: str, last_answer: str, *, owner: UserId) -> DialogId | None:
        values = {"owner": owner, "conversation": conversation, "answer": last_answer.strip(_SPACES)}
        rows = await owned_rows(self._session, _FIND, values)
        return DialogId(rows[0][0]) if rows else None

    async def of_answer(self, conversation: str, answer: MessageId, *, owner: UserId) -> DialogId | None:
        values = {"owner": owner, "conversation": conversation, "answer": answer}
        rows = await owned_rows(self._session, _OF_ANSWER, values)
        return DialogId(rows[0][0]) if rows else None

    async def answers(self, answers: Sequence[MessageId], *, owner: UserId) -> Mapping[MessageId, KeptAnswer]:
        rows = await owned_rows(self._session, _ANSWERS, {"owner": owner, "ids": list(answers)})
        return {
            message_id: KeptAnswer(text, to_rounds(rounds), status == AnswerStatus.RUNNING)
            for message_id, text, rounds, status in rows
        }
