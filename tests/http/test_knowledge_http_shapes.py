"""What retrieval and evaluation look like over HTTP, whatever they find."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.knowledge.evaluation import EvaluateKnowledge, Evaluation
from application.knowledge.retrieval import Retrieval, RetrieveKnowledge
from domain.ids import KnowledgeFileId, KnowledgeId
from domain.knowledge.evaluation import EvaluationCase, Measured
from domain.knowledge.retrieval import Passage
from http_answers import Client, code_of, http_alone

FIRST = Passage("涡轮机在这里。", 1.0, KnowledgeId("k1"), KnowledgeFileId("f1"), "报告.pdf", 3, 10, 17)
SECOND = Passage("turbines", 0.25, KnowledgeId("k2"), KnowledgeFileId("f2"), "b.txt", None, 0, 8)
REASON = "Embedding is switched off."


class Recorded:
    """Answers what it holds, and remembers what it was asked."""

    def __init__(self) -> None:
        self.lexical_only: str | None = None
        self.asked: list[Any] = []

    async def retrieve(
        self, actor: str, query: str, knowledge_ids: Sequence[str], top_k: int = 5, min_score: float | None = None
    ) -> Retrieval:
        self.asked.append((actor, query, list(knowledge_ids), top_k, min_score))
        return Retrieval((FIRST, SECOND), self.lexical_only)

    async def evaluate(self, actor: str, knowledge_id: str, cases: Sequence[EvaluationCase], k: int = 5) -> Evaluation:
        self.asked.append((actor, knowledge_id, list(cases), k))
        by_words = Measured(0.5, 0.25, 0.375, (1,))
        dense = None if self.lexical_only else Measured(1.0, 1.0, 1.0)
        return Evaluation(len(cases), k, dense, by_words, dense or by_words, self.lexical_only)


@pytest.fixture(scope="module")
def found() -> Recorded:
    return Recorded()


@pytest.fixture(scope="module")
def http(found: Recorded) -> Iterator[Client]:
    with http_alone((RetrieveKnowledge, found.retrieve), (EvaluateKnowledge, found.evaluate)) as client:
        yield client


@pytest.fixture(autouse=True)
def afresh(found: Recorded) -> None:
    found.lexical_only = None
    found.asked.clear()


def ask(http: Client, **body: Any) -> Any:
    return http.post("/api/v1/knowledge/retrieval", json={"query": "turbines", "knowledge_id": "k1", **body})


def test_passages_come_with_all_that_a_citation_needs(http: Client) -> None:
    assert ask(http).json() == {
        "status_code": 200,
        "status_message": "SUCCESS",
        "data": [
            {
                "content": "涡轮机在这里。",
                "score": 1.0,
                "knowledge_id": "k1",
                "knowledge_file_id": "f1",
                "file_name": "报告.pdf",
                "page": 3,
                "start": 10,
                "end": 17,
            },
            {
                "content": "turbines",
                "score": 0.25,
                "knowledge_id": "k2",
                "knowledge_file_id": "f2",
                "file_name": "b.txt",
                "page": None,
                "start": 0,
                "end": 8,
            },
        ],
    }


def test_as_text_the_contents_stand_in_lines(http: Client) -> None:
    assert ask(http, format="text").json()["data"] == "涡轮机在这里。\nturbines"
    assert isinstance(ask(http, format=None).json()["data"], list)


def test_what_was_found_by_words_alone_is_said_beside_the_data(http: Client, found: Recorded) -> None:
    found.lexical_only = REASON
    for body in ({}, {"format": "text"}):
        answer = ask(http, **body).json()
        assert (answer["retrieval"], answer["reason"]) == ("lexical", REASON)
        assert set(answer) == {"status_code", "status_message", "data", "retrieval", "reason"}


def test_one_base_or_several_and_the_limits_come_through(http: Client, found: Recorded) -> None:
    ask(http)
    ask(http, knowledge_id=["k1", "k2"], top_k=50, min_score=0.5)
    ask(http, top_k=None, min_score=None)
    assert found.asked == [
        ("ann", "turbines", ["k1"], 5, None),
        ("ann", "turbines", ["k1", "k2"], 50, 0.5),
        ("ann", "turbines", ["k1"], 5, None),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": None}, "query"),
        ({"query": 3}, "query"),
        ({"query": ["a"]}, "query"),
        ({"knowledge_id": None}, "knowledge_id"),
        ({"knowledge_id": 7}, "knowledge_id"),
        ({"knowledge_id": ""}, "knowledge_id"),
        ({"knowledge_id": "a\x00"}, "knowledge_id"),
        ({"knowledge_id": ["k1", 7]}, "knowledge_id[1]"),
        ({"knowledge_id": "x" * 129}, "knowledge_id"),
        ({"top_k": "5"}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": True}, "top_k"),
        ({"min_score": "0"}, "min_score"),
        ({"format": "xml"}, "format"),
    ],
)
def test_a_wrong_type_names_its_field(http: Client, found: Recorded, body: dict[str, Any], field: str) -> None:
    response = ask(http, **body)
    assert code_of(response, 422) == "invalid_value"
    assert [one["name"] for one in response.json()["error"]["fields"]] == [field]
    assert found.asked == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["query", "knowledge_id", "top_k", "min_score", "format", "x"]), json_values))
def test_whatever_is_sent_is_answered_or_refused(http: Client, body: dict[str, Any]) -> None:
    response = http.post("/api/v1/knowledge/retrieval", json=body)
    assert response.status_code in {200, 422}, response.text


def evaluate(http: Client, **body: Any) -> Any:
    cases = [{"query": "a", "expected": "one text"}, {"query": "b", "expected": ["a.pdf", "two"]}]
    return http.post("/api/v1/knowledge/evaluate", json={"knowledge_id": "k1", "cases": cases, **body})


def test_an_evaluation_tells_each_way_of_ranking(http: Client, found: Recorded) -> None:
    best = {"recall": 1.0, "mrr": 1.0, "ndcg": 1.0, "failed": []}
    by_words = {"recall": 0.5, "mrr": 0.25, "ndcg": 0.375, "failed": [1]}
    answer = evaluate(http, k=3).json()
    assert answer["data"] == {"cases": 2, "k": 3, "dense": best, "lexical": by_words, "hybrid": best}
    assert "retrieval" not in answer
    cases = [EvaluationCase("a", ("one text",)), EvaluationCase("b", ("a.pdf", "two"))]
    assert found.asked == [("ann", "k1", cases, 3)]


def test_an_evaluation_without_vectors_says_so(http: Client, found: Recorded) -> None:
    found.lexical_only = REASON
    answer = evaluate(http).json()
    assert answer["data"]["dense"] is None
    assert answer["data"]["hybrid"] == answer["data"]["lexical"]
    assert (answer["retrieval"], answer["reason"]) == ("lexical", REASON)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cases": None}, "cases"),
        ({"cases": [{"query": "a"}]}, "cases[0].expected"),
        ({"cases": [{"query": "a", "expected": None}]}, "cases[0].expected"),
        ({"cases": [{"query": "a", "expected": [1]}]}, "cases[0].expected[0]"),
        ({"k": "3"}, "k"),
        ({"knowledge_id": ["k1"]}, "knowledge_id"),
    ],
)
def test_a_wrong_case_is_named(http: Client, found: Recorded, body: dict[str, Any], field: str) -> None:
    response = evaluate(http, **body)
    assert code_of(response, 422) == "invalid_value"
    assert [one["name"] for one in response.json()["error"]["fields"]] == [field]
    assert found.asked == []
