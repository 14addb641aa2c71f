"""The statements about the ledger of usage. What is written with the end of a run is bound by `usage_rows`."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from adapters.database.owners import LIMIT, OWNER, beside_owner
from adapters.database.tables import agents, runs, users
from adapters.database.usage.usage_tables import usage_ledger
from domain.usage.usage import DAY_MS, NANOS_A_UNIT, Grouping

_OF_CALLS: Final = frozenset({"user_id", "run_id", "agent_id"})
"""What all attempts of a call have in common; the other columns are each attempt's own."""
_OWN: Final = [column for column in usage_ledger.c if column.name not in _OF_CALLS]
_NAMES: Final = ["user_id", "run_id", "agent_id", *(column.name for column in _OWN)]

_MINE: Final = usage_ledger.c.user_id == OWNER
_SINCE: Final = usage_ledger.c.at >= bindparam("since", type_=BigInteger)
_UNTIL: Final = usage_ledger.c.at < bindparam("until", type_=BigInteger)
_UNIT: Final = literal_column(str(NANOS_A_UNIT), BigInteger)
_DAY: Final = usage_ledger.c.at // literal_column(str(DAY_MS), BigInteger)
_RUN: Final = bindparam("run", type_=Text)
_AGENT: Final = bindparam("agent", type_=Text)
_ANSWERING: Final = bindparam("a_agent_id", type_=Text)

# As one text of JSON, whatever their number: so the statement that closes a run is compiled once.
_attempts: Final = (
    func.jsonb_to_recordset(cast(bindparam("attempts", type_=Text), postgresql.JSONB))
    .table_valued(*(Column(column.name, column.type) for column in _OWN), name="attempt")
    .render_derived(with_types=True)
)


def of_closed_run(closed: FromClause) -> Insert:
    """On Postgres, beside the closing: nothing when `closed` has no row."""
    rows = select(OWNER, closed.c.run_id, _ANSWERING, *_attempts.c).join_from(closed, _attempts, true())
    return postgresql.insert(usage_ledger).from_select(_NAMES, rows).on_conflict_do_nothing()


def _bound() -> list[ColumnElement[Any]]:
    return [bindparam(f"l_{column.name}", type_=column.type).label(column.name) for column in _OWN]


OF_CLOSED_RUN: Final = (
    sqlite.insert(usage_ledger)
    .from_select(
        _NAMES,
        select(runs.c.user_id, runs.c.run_id, _ANSWERING, *_bound()).where(
            runs.c.run_id == bindparam("id", type_=Text)
        ),
    )
    .on_conflict_do_nothing(index_elements=usage_ledger.primary_key.columns)
)
"""On SQLite, for each attempt, in the transaction that closed the run."""

# An account that is gone, or goes at this moment, gets nothing.
_account: Final = select(users.c.user_id, _RUN.label("run_id"), _AGENT.label("agent_id")).where(
    users.c.user_id == OWNER
)
_locked: Final = _account.with_for_update(read=True, key_share=True).cte("account")
_on_postgres: Final = postgresql.insert(usage_ledger).from_select(
    _NAMES, select(*_locked.c, *_attempts.c).join_from(_locked, _attempts, true())
)
_on_sqlite: Final = sqlite.insert(usage_ledger).from_select(_NAMES, _account.add_columns(*_bound()))
_ROW: Final = usage_ledger.primary_key.columns
_TOLD_ANEW: Final = [column.name for column in usage_ledger.c if column.name not in _ROW]
ADD: Final[Mapping[str, Insert]] = {
    "postgresql": _on_postgres.on_conflict_do_nothing(),
    "sqlite": _on_sqlite.on_conflict_do_nothing(index_elements=_ROW),
}
REPLACE: Final[Mapping[str, Insert]] = {
    "postgresql": _on_postgres.on_conflict_do_update(
        index_elements=_ROW, set_={name: _on_postgres.excluded[name] for name in _TOLD_ANEW}
    ),
    "sqlite": _on_sqlite.on_conflict_do_update(
        index_elements=_ROW, set_={name: _on_sqlite.excluded[name] for name in _TOLD_ANEW}
    ),
}
"""The same, where rows were kept when their calls began."""


def _cost() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """In whole units and what is left of them: so the sum is exact, and no number of rows is too many."""
    cost = usage_ledger.c.cost_nanos
    return func.sum(cost // _UNIT).label("units"), func.sum(cost % _UNIT).label("rest")


def _sums(**keys: ColumnElement[Any]) -> FromClause:
    """By these keys and by currency: costs of two currencies are never added."""
    columns = usage_ledger.c
    numbers = (
        func.count().label("attempts"),
        func.count(columns.run_id.distinct()).label("runs"),
        *(func.sum(columns[name]).label(name) for name in ("input_tokens", "output_tokens", "cached_tokens")),
        func.sum(case((columns.estimated, 1), else_=0)).label("estimated"),
        *_cost(),
        columns.currency,
    )
    named = [key.label(name) for name, key in keys.items()]
    wanted = select(*numbers, *named).where(_MINE, _SINCE, _UNTIL)
    return wanted.group_by(*keys.values(), columns.currency).limit(LIMIT).subquery("sums")


def _by_agent() -> Select[Any]:
    """With the name that the agent has now; NULL where it is gone, or where no agent was asked."""
    sums = _sums(key=usage_ledger.c.agent_id)
    usable = or_(agents.c.user_id == OWNER, agents.c.user_id.is_(None))
    named = sums.outerjoin(agents, and_(agents.c.agent_id == sums.c.key, usable))
    return beside_owner(select(*sums.c, agents.c.name).select_from(named).subquery("named"))


REPORT: Final[Mapping[Grouping, Select[Any]]] = {
    Grouping.DAY: beside_owner(_sums(key=_DAY)),
    Grouping.AGENT: _by_agent(),
    Grouping.MODEL: beside_owner(_sums(key=usage_ledger.c.llm_id, name=usage_ledger.c.model)),
}


def _spent() -> Select[Any]:
    columns = usage_ledger.c
    tokens = func.sum(columns.input_tokens) + func.sum(columns.output_tokens)
    used = (
        select(columns.currency, tokens.label("tokens"), *_cost())
        .where(_MINE, _SINCE, columns.llm_id.in_(bindparam("system", type_=Text, expanding=True)))
        .group_by(columns.currency)
        .subquery("used")
    )
    # Nobody makes a run that waits: it may do so for days, and what it used is in the ledger.
    in_the_making = and_(
        runs.c.user_id == OWNER, runs.c.closed_at.is_(None), runs.c.status != literal_column("'waiting'")
    )
    going_on = select(func.count()).select_from(runs).where(in_the_making).scalar_subquery()
    # One that waited and goes on has rows too.
    counted = and_(columns.run_id != _RUN, columns.run_id.not_in(select(runs.c.run_id).where(in_the_making)))
    others = select(func.count(columns.run_id.distinct())).where(_MINE, _SINCE, counted).scalar_subquery()
    whole = select(going_on.label("open_runs"), others.label("runs"), *used.c)
    return whole.select_from(users.outerjoin(used, true())).where(users.c.user_id == OWNER)


SPENT: Final = _spent()

_KEY: Final = tuple(usage_ledger.primary_key.columns)
_old: Final = (
    select(*_KEY)
    .where(usage_ledger.c.at < bindparam("before", type_=BigInteger))
    .order_by(usage_ledger.c.at)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
    .cte("old")
    .prefix_with("MATERIALIZED")
)
REMOVE_OLD: Final = (
    delete(usage_ledger).where(tuple_(*_KEY).in_(select(*_old.c))).returning(literal_column("1", Integer))
)
