"""The statements about runs that both dialects share. Bound by `run_rows`."""

from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Insert,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
    union_all,
    update,
)

from adapters.database.columns import Moment
from adapters.database.owners import LIMIT, OWNER, beside_owner
from adapters.database.tables import dialogs, messages, run_log, runs

ID: Final = bindparam("id", type_=Text)
IDS: Final = bindparam("ids", type_=Text, expanding=True)
DIALOG: Final = bindparam("dialog", type_=Text)
UNTIL: Final = bindparam("until", type_=Moment)
_CLOSED_AT: Final = bindparam("a_closed_at", type_=Moment)
_BEFORE: Final = bindparam("before", type_=Moment)
IS_OPEN: Final = runs.c.closed_at.is_(None)

_LAST_SEQ: Final = (
    select(run_log.c.last_seq)
    .where(run_log.c.run_id == runs.c.run_id)
    .order_by(run_log.c.first_seq.desc())
    .limit(literal_column("1", Integer))
    .scalar_subquery()
    .label("last_seq")
)
_KEPT_FROM_RUNS: Final = frozenset({"has_log", "pause", "pauses"})
_RUN: Final = select(*(column for column in runs.c if column.name not in _KEPT_FROM_RUNS), _LAST_SEQ)
_MINE: Final = runs.c.user_id == OWNER

GET: Final = beside_owner(_RUN.where(_MINE, runs.c.run_id == ID).subquery())
OPEN_IN: Final = beside_owner(_RUN.where(_MINE, runs.c.dialog_id == DIALOG, IS_OPEN).subquery())
BY_KEY: Final = beside_owner(_RUN.where(_MINE, runs.c.idempotency_key == bindparam("key", type_=Text)).subquery())
_LEASE_RAN_OUT: Final = and_(IS_OPEN, runs.c.lease_until < bindparam("now", type_=Moment))
ABANDONED: Final = _RUN.where(_LEASE_RAN_OUT).order_by(runs.c.lease_until, runs.c.run_id).limit(LIMIT)
# With its dialog, which whoever closes a run locks before it. On SQLite the whole transaction is the lock.
HOLD_ABANDONED: Final = (
    select(runs.c.run_id)
    .join(dialogs, and_(dialogs.c.user_id == runs.c.user_id, dialogs.c.dialog_id == runs.c.dialog_id))
    .where(runs.c.run_id == ID, _LEASE_RAN_OUT)
    .with_for_update(key_share=True, skip_locked=True)
)
IS_STORED: Final = select(runs.c.run_id).where(
    _MINE, runs.c.run_id == ID, runs.c.message_id == bindparam("r_message_id", type_=Text)
)

# The piece that `after` lies in is looked up, not searched for from the first.
_begin: Final = (
    select(run_log.c.first_seq)
    .where(run_log.c.run_id == ID, run_log.c.first_seq <= bindparam("after", type_=Integer))
    .order_by(run_log.c.first_seq.desc())
    .limit(literal_column("1", Integer))
    .scalar_subquery()
)
LOG: Final = (
    select(run_log.c.first_seq, run_log.c.data)
    .where(
        run_log.c.run_id == ID,
        run_log.c.first_seq >= func.coalesce(_begin, literal_column("0", Integer)),
        run_log.c.last_seq > bindparam("after", type_=Integer),
    )
    .order_by(run_log.c.first_seq)
    .limit(LIMIT)
)
# Numbers of events begin with 1: this row takes none, and a piece that is there already stays as it is.
IS_BESIDE: Final = run_log.c.first_seq == literal_column("0", Integer)
UNSEEN: Final = select(run_log.c.data).where(run_log.c.run_id == ID, IS_BESIDE)


def bound(side: str, column: Column[Any]) -> BindParameter[Any]:
    return bindparam(f"{side}_{column.name}", type_=column.type)


ADD_RUN: Final = insert(runs).values(
    {column.name: bound("r", column) for column in runs.c}
    | {"run_id": ID, "user_id": OWNER, "dialog_id": DIALOG, "closed_at": None, "has_log": true()}
    | {"pause": None, "pauses": 0}
)
_OF_ANSWERS: Final = (
    "status",
    "run_id",
    "model",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "estimated",
    "steps",
    "rounds",
    "citations",
    "finish_reason",
    "failure",
    "closed_at",
    "agent_id",
    "agent_version",
)
_AS_OPENED: Final = frozenset({"run_id", "agent_id", "agent_version"})


def _asked_and_answered() -> Insert:
    """Both rows in one statement, at the two positions after the last."""
    last = select(func.coalesce(func.max(messages.c.position), literal_column("-1", Integer))).where(
        messages.c.user_id == OWNER, messages.c.dialog_id == DIALOG
    )

    def row(side: str, step: int, own: dict[str, ColumnElement[Any]]) -> Select[Any]:
        values = {
            "user_id": OWNER,
            "dialog_id": DIALOG,
            "position": last.scalar_subquery() + literal_column(str(step), Integer),
            **{name: bound(side, messages.c[name]) for name in ("message_id", "created_at", "content")},
            **own,
        }
        return select(*(value.label(name) for name, value in values.items()))

    attachments = bound("q", messages.c.attachments)
    asked = row("q", 1, {**dict.fromkeys(_OF_ANSWERS, null()), "attachments": attachments})
    answered = row("a", 2, {**{name: bound("a", messages.c[name]) for name in _OF_ANSWERS}, "attachments": null()})
    return insert(messages).from_select(list(asked.selected_columns.keys()), union_all(answered, asked))


ADD_MESSAGES: Final = _asked_and_answered()
THE_OPEN_ONE: Final = and_(
    _MINE,
    runs.c.run_id == ID,
    runs.c.message_id == bindparam("message", type_=Text),
    IS_OPEN,
)
CLOSE_RUN: Final = update(runs).values(status=bound("a", messages.c.status), closed_at=_CLOSED_AT, pause=None)
FINISH_ANSWER: Final = update(messages).values(
    {name: bound("a", messages.c[name]) for name in ("content", *_OF_ANSWERS) if name not in _AS_OPENED}
)
CLOSED_SO: Final = (
    select(runs.c.run_id)
    .join(messages, messages.c.message_id == runs.c.message_id)
    .where(
        _MINE,
        runs.c.run_id == ID,
        runs.c.status == bound("a", messages.c.status),
        runs.c.closed_at == _CLOSED_AT,
        messages.c.content == bound("a", messages.c.content),
    )
)

BEGIN: Final = update(runs).values(status=literal_column("'running'"))
IS_QUEUED: Final = runs.c.status == literal_column("'queued'")
RENEW: Final = (
    update(runs)
    .values(lease_until=case((runs.c.lease_until < UNTIL, UNTIL), else_=runs.c.lease_until))
    .returning(runs.c.run_id, runs.c.stop_requested)
)
RELEASE_KEY: Final = update(runs).where(runs.c.run_id == ID).values(idempotency_key=None, request_digest=None)
FOLLOW: Final = (
    update(runs)
    .where(runs.c.run_id == ID, IS_OPEN, or_(runs.c.followed_until.is_(None), runs.c.followed_until < UNTIL))
    .values(followed_until=UNTIL)
)
# Nobody makes a run that waits for a person: its lease ends, so that anybody closes it if the one who stops it dies.
_waits: Final = runs.c.status == literal_column("'waiting'")
REQUEST_STOP: Final = (
    update(runs)
    .where(runs.c.run_id == ID, IS_OPEN)
    .values(stop_requested=true(), lease_until=case((_waits, runs.c.created_at), else_=runs.c.lease_until))
)

# Of several processes that sweep at once each takes others; SQLite has one writer anyway.
_sweep: Final = (
    select(runs.c.run_id)
    .where(runs.c.closed_at < _BEFORE)
    .order_by(runs.c.closed_at)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
)
CLOSED_BEFORE: Final = _sweep
# A repeat under a key gets the whole stream for as long as the key is kept.
LOGGED_BEFORE: Final = _sweep.where(text("has_log"), runs.c.idempotency_key.is_(None))
REMOVE_RUNS: Final = delete(runs).where(runs.c.run_id.in_(IDS))
REMOVE_LOGS: Final = delete(run_log).where(run_log.c.run_id.in_(IDS))
FORGET_LOGS: Final = update(runs).where(runs.c.run_id.in_(IDS)).values(has_log=false())
