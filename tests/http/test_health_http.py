"""Alive and ready: each part is asked, each says how long it took."""

import asyncio

from application.health import CheckHealth
from domain.errors import Unavailable
from http_answers import Client, data_of, http_alone


class Part:
    def __init__(self, name: str, error: Exception | None = None, seconds: float = 0) -> None:
        self.name = name
        self.error = error
        self.seconds = seconds

    async def check(self) -> None:
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error


def test_alive_names_the_version_and_asks_nobody() -> None:
    with http_alone() as client:
        assert data_of(client.get("/health")) == {"status": "alive", "version": "1.2.3"}
        assert client.head("/health").status_code == 200


def test_ready_tells_each_part_and_its_latency() -> None:
    with http_alone(CheckHealth((Part("database", seconds=0.01), Part("storage")))) as client:
        ready = data_of(client.get("/health/ready"))
    assert ready["status"] == "ready"
    assert [(one["name"], one["status"]) for one in ready["parts"]] == [("database", "up"), ("storage", "up")]
    assert ready["parts"][0]["latency_ms"] >= 9
    assert all("problem" not in one for one in ready["parts"])


def test_one_part_down_is_503_and_says_which() -> None:
    broken = Part("database", Unavailable("database_unavailable", "The database can't be reached."))
    slow = Part("storage", seconds=60)
    with http_alone(CheckHealth((broken, slow, Part("index")), patience_seconds=0.05)) as client:
        response = client.get("/health/ready")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    body = response.json()
    assert (body["status_code"], body["error"]["code"]) == (500, "server_unavailable")
    assert body["status_message"] == "Not ready: database, storage can't be reached."
    assert [one["status"] for one in body["data"]["parts"]] == ["down", "down", "up"]
    assert body["data"]["parts"][1]["problem"] == "no answer within 0.05 seconds"


def test_what_the_server_can_do_without_is_degraded_and_no_503() -> None:
    lacking = Part("embedding", Unavailable("embedding_lacking", "The embedding model has no API key."))
    with http_alone(CheckHealth((Part("database"),), dispensable=(lacking, Part("index")))) as client:
        response = client.get("/health/ready")
    assert response.status_code == 200
    ready = data_of(response)
    assert ready["status"] == "ready"
    assert [(one["name"], one["status"]) for one in ready["parts"]] == [
        ("database", "up"),
        ("embedding", "degraded"),
        ("index", "up"),
    ]
    assert ready["parts"][1]["problem"] == "The embedding model has no API key."


def test_a_part_that_is_needed_is_down_beside_one_that_is_not() -> None:
    lacking = Part("embedding", Unavailable("embedding_lacking", "none"))
    broken = Part("database", Unavailable("database_unavailable", "none"))
    with http_alone(CheckHealth((broken,), dispensable=(lacking,))) as client:
        body = client.get("/health/ready").json()
    assert body["status_message"] == "Not ready: database can't be reached."


def test_the_whole_application_is_ready_without_a_token(client: Client) -> None:
    ready = data_of(client.get("/health/ready"))
    assert ready["status"] == "ready"
    parts = {one["name"]: one["status"] for one in ready["parts"]}
    assert parts == {"database": "up", "storage": "up", "vector_index": "up", "embedding": "degraded", "jobs": "up"}


def test_a_fault_in_a_check_is_one_part_down_and_no_500() -> None:
    with http_alone(CheckHealth((Part("database", RuntimeError("SELECT secret")),))) as client:
        response = client.get("/health/ready")
    assert response.status_code == 503
    assert "SELECT" not in response.text
