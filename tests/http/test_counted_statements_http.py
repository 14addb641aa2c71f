"""What tests count of the database is what their own requests asked of it."""

from contextvars import Context
from typing import Any

from application.runs.run_upkeep import SweepRuns
from http_answers import Client, Register


def test_what_a_server_asks_beside_requests_is_not_counted(client: Client, statements: Any) -> None:
    portal, container = client.blocking_portal, client.app.state.dishka_container
    sweep = portal.call(container.get, SweepRuns)
    statements.clear()
    Context().run(portal.call, sweep.once)
    assert statements.texts == []
    portal.call(sweep.once)
    assert len(statements) >= 1


def test_what_a_request_asks_in_tasks_of_its_own_is_counted(
    client: Client, register: Register, statements: Any
) -> None:
    headers = register()
    statements.clear()
    answer = client.post("/api/v1/chat", json={"user_input": "count to 5", "dialog_id": "d"}, headers=headers)
    assert "event: done" in answer.text
    assert any("UPDATE messages" in one for one in statements.texts), statements.texts
    asked = len(statements)
    statements.clear()
    client.get("/api/v1/dialog/list", headers=headers)
    assert 1 <= len(statements) < asked
