"""What one used: as JSON and as a table, by day, agent and model; and quotas."""

import asyncio
import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from domain.ids import AgentId, RunId, UserId
from domain.models.attempts import Attempt
from domain.usage.usage import MOST_DAYS
from http_answers import Client, Headers, Register, code_of, data_of
from spending import NOON, attempt, attempts

USAGE = "/api/v1/usage"
ALL = {"from": "2026-10-01", "to": "2026-12-01"}


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


class Books:
    """Writes into the ledger of a database that a server has open."""

    def __init__(self, url: str) -> None:
        self.url = url

    def note(self, owner: str, made: list[Attempt], agent_id: str | None = "default", run_id: str | None = "r") -> None:
        async def write() -> None:
            transactions = DatabaseTransactions.open(self.url)
            async with transactions.autocommit() as tx:
                run = None if run_id is None else RunId(run_id)
                await tx.ledger.add(UserId(owner), None if agent_id is None else AgentId(agent_id), run, made)
            await transactions.aclose()

        asyncio.run(write())


@pytest.fixture
def books(database_url: str) -> Books:
    return Books(database_url)


def me(client: Client, headers: Headers) -> str:
    identifier: str = data_of(client.get("/api/v1/user/info", headers=headers))["user_id"]
    return identifier


def table(client: Client, headers: Headers, **parameters: str) -> tuple[list[str], list[list[str]]]:
    response = client.get(USAGE, params={**parameters, "format": "csv"}, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    assert response.text.endswith("\r\n")
    header, *rows = csv.reader(io.StringIO(response.text, newline=""))
    return header, rows


def test_rows_name_what_they_are_grouped_by(client: Client, ann: Headers, books: Books) -> None:
    books.note(me(client, ann), [attempt(), attempt(cost_nanos=1)])
    numbers = {
        "runs": 1,
        "attempts": 2,
        "input_tokens": 200,
        "output_tokens": 40,
        "cached_tokens": 0,
        "estimated_attempts": 0,
        "cost": 0.000001501,
        "currency": "USD",
    }
    for group_by, keys in (
        ("day", {"day": "2026-11-03"}),
        ("agent", {"agent_id": "default", "agent_name": "Assistant"}),
        ("model", {"model": "gpt-4", "model_name": "gpt-4.1"}),
    ):
        assert data_of(client.get(USAGE, params={"group_by": group_by, **ALL}, headers=ann)) == [keys | numbers]


def test_without_prices_there_is_no_cost(client: Client, ann: Headers, books: Books) -> None:
    books.note(me(client, ann), [attempt(cost_nanos=None)], None, None)
    (row,) = data_of(client.get(USAGE, params={"group_by": "agent", **ALL}, headers=ann))
    assert (row["agent_id"], row["agent_name"], row["cost"], row["currency"]) == (None, None, None, None)
    assert row["runs"] == 0
    _, (cells,) = table(client, ann, group_by="agent", **ALL)
    assert cells == ["", "", "0", "1", "100", "20", "0", "0", "", ""]


def test_days_come_newest_first_and_models_by_their_tokens(client: Client, ann: Headers, books: Books) -> None:
    day = 86_400_000
    made = [attempt(at=NOON + step * day, llm_id=f"m{step}") for step in (0, 2, 1, 1)]
    books.note(me(client, ann), made)
    rows = data_of(client.get(USAGE, params=ALL, headers=ann))
    assert [row["day"] for row in rows] == ["2026-11-05", "2026-11-04", "2026-11-03"]
    rows = data_of(client.get(USAGE, params={"group_by": "model", **ALL}, headers=ann))
    assert [row["model"] for row in rows] == ["m1", "m0", "m2"]


def test_nobody_sees_the_usage_of_another(client: Client, ann: Headers, books: Books, register: Register) -> None:
    books.note(me(client, ann), [attempt()])
    bob = register("bob")
    for group_by in ("day", "agent", "model"):
        assert data_of(client.get(USAGE, params={"group_by": group_by, **ALL}, headers=bob)) == []
        assert table(client, bob, group_by=group_by, **ALL)[1] == []
    assert code_of(client.get(USAGE), 401) == "token_missing"
    assert code_of(client.get(f"{USAGE}/quota"), 401) == "token_missing"


def test_the_table_is_a_file_that_says_its_time(client: Client, ann: Headers) -> None:
    parameters = {"group_by": "model", "format": "csv", "from": "2026-01-01", "to": "2026-01-31"}
    response = client.get(USAGE, params=parameters, headers=ann)
    name = 'attachment; filename="usage-by-model-2026-01-01-to-2026-01-31.csv"'
    assert response.headers["content-disposition"] == name
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text == (
        "model,model_name,runs,attempts,input_tokens,output_tokens,cached_tokens,estimated_attempts,cost,currency\r\n"
    )


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"group_by": "user"}, "group_by"),
        ({"group_by": ""}, "group_by"),
        ({"format": "xml"}, "format"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "2026-13-01T00:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"from": "2026-01-01T00:00:00 02:00"}, "from"),
        ({"from": "2026-W01-1"}, "from"),
        ({"from": "１９９９-01-01"}, "from"),
        ({"from": "1" * 10_000}, "from"),
        ({"from": "a\x00b"}, "from"),
        ({"to": "20260101"}, "to"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "to"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ({"from": "9999-12-31"}, "from"),
        ({"to": "0001-01-01"}, "to"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from"),
    ],
)
def test_what_is_no_report_is_refused_with_the_field(
    client: Client, ann: Headers, parameters: dict[str, str], field: str
) -> None:
    for form in ("json", "csv"):
        refused = client.get(USAGE, params={"format": form, **parameters}, headers=ann)
        assert code_of(refused, 422) == "invalid_value"
        assert [one["name"] for one in refused.json()["error"]["fields"]] == [field]


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("2026-11-03", "2026-11-03", 1),
        ("2026-11-03T12:00:00Z", "2026-11-03T12:00:00.001Z", 1),
        ("2026-11-03T12:00:00.001Z", "2026-11-04", 0),
        ("2026-11-02", "2026-11-03T12:00:00Z", 0),
        ("2026-11-03T14:00:00+02:00", "2026-11-03", 1),
        ("2026-11-03T12:00Z", "2026-11-03", 1),
        ("", "2026-11-30", 1),
        ("", "2026-12-03T00:00:00Z", 1),
        ("", "2026-12-03T00:00:00.001Z", 0),
        ("1970-01-01", "1971-01-01", 0),
        ("9999-12-30", "9999-12-31", 0),
    ],
)
def test_a_date_is_its_whole_day_and_a_moment_as_the_end_is_outside(
    client: Client, ann: Headers, books: Books, since: str, until: str, found: int
) -> None:
    books.note(me(client, ann), [attempt()])
    for form in ("json", "csv"):
        assert client.get(USAGE, params={"from": since, "to": until, "format": form}, headers=ann).status_code == 200
    assert len(data_of(client.get(USAGE, params={"from": since, "to": until}, headers=ann))) == found


def test_the_longest_time_is_as_long_as_it_says(client: Client, ann: Headers) -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    for days, status in ((MOST_DAYS - 1, 200), (MOST_DAYS, 422)):
        since = until - timedelta(days=days)
        parameters = {"from": f"{since:%Y-%m-%d}", "to": "2026-01-01"}
        assert client.get(USAGE, params=parameters, headers=ann).status_code == status


@settings(max_examples=15)
@given(made=attempts(), group_by=st.sampled_from(["day", "agent", "model"]))
def test_both_forms_tell_the_same_numbers(
    client: Client, register: Register, books: Books, made: list[Attempt], group_by: str
) -> None:
    headers = register()
    books.note(me(client, headers), made)
    answer = client.get(USAGE, params={"group_by": group_by, **ALL}, headers=headers)
    rows = json.loads(answer.text, parse_float=Decimal)["data"]
    header, cells = table(client, headers, group_by=group_by, **ALL)
    assert len(cells) == len(rows)
    for row, line in zip(rows, cells, strict=True):
        assert list(row) == header
        for (name, value), cell in zip(row.items(), line, strict=True):
            if value is None:
                assert cell == ""
            elif name == "cost":
                assert Decimal(cell) == value
                assert "e" not in cell.lower()
            else:
                assert cell.removeprefix("'") == str(value)
    costs: Counter[str] = Counter()
    for one in made:
        costs.update({one.currency: one.cost_nanos} if one.cost_nanos is not None else {})
    told: Counter[str] = Counter()
    for row in rows:
        told.update({row["currency"]: int(row["cost"] * 10**9)} if row["currency"] else {})
    assert told == costs


def test_no_name_becomes_a_formula(client: Client, ann: Headers, books: Books) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1", 'a "quoted", one', "-模型"]
    books.note(me(client, ann), [attempt(llm_id=name, model=name) for name in names])
    _, rows = table(client, ann, group_by="model", **ALL)
    assert sorted(row[0] for row in rows) == sorted(name if name.startswith("a ") else f"'{name}" for name in names)
    told = data_of(client.get(USAGE, params={"group_by": "model", **ALL}, headers=ann))
    assert sorted(row["model"] for row in told) == sorted(names)


def test_each_question_is_one_statement_beside_the_check_of_the_token(
    client: Client, ann: Headers, statements: Any
) -> None:
    for path in (USAGE, f"{USAGE}?group_by=agent", f"{USAGE}?group_by=model&format=csv", f"{USAGE}/quota"):
        client.get(path, headers=ann)
        statements.clear()
        assert client.get(path, headers=ann).status_code == 200
        assert len(statements) == 1, (path, statements.texts)
