"""Measuring a knowledge base over HTTP."""

from typing import Literal

from dishka.integrations.litestar import FromDishka, inject
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType

from application.knowledge.evaluation import EvaluateKnowledge, Evaluation
from domain.knowledge.evaluation import EvaluationCase, Measured
from entrypoints.http.auth import Caller
from entrypoints.http.identifiers import Identifier


class CaseBody(Struct):
    """`expected` is a file of the base (its name or id), else a text that the answer holds; one or several of them."""

    query: str
    expected: str | list[str]


class EvaluateBody(Struct):
    """`k` is 1 to 50, 5 when absent."""

    knowledge_id: Identifier
    cases: list[CaseBody]
    k: int | None = None


class MeasuredView(Struct):
    """Means over the cases, each 0 to 1, of the first k places.

    `failed` are the numbers, from 0, of the cases of which nothing was found.
    """

    recall: float
    mrr: float
    ndcg: float
    failed: tuple[int, ...]

    @classmethod
    def of(cls, one: Measured) -> "MeasuredView":
        return cls(one.recall, one.mrr, one.ndcg, one.failed)


class EvaluationView(Struct):
    """By each way of ranking. `dense` is null where no vectors are searched."""

    cases: int
    k: int
    dense: MeasuredView | None
    lexical: MeasuredView
    hybrid: MeasuredView

    @classmethod
    def of(cls, found: Evaluation) -> "EvaluationView":
        return cls(
            found.cases,
            found.k,
            MeasuredView.of(found.dense) if found.dense else None,
            MeasuredView.of(found.lexical),
            MeasuredView.of(found.hybrid),
        )


class EvaluationEnvelope(Struct, kw_only=True):
    """`retrieval` and `reason` are there only where some of it was found by words alone."""

    status_code: int = 200
    status_message: str = "SUCCESS"
    data: EvaluationView
    retrieval: Literal["lexical"] | UnsetType = UNSET
    reason: str | UnsetType = UNSET


@post(
    "/knowledge/evaluate",
    status_code=200,
    summary="How well retrieval finds what was expected: recall, MRR and nDCG",
    tags=["knowledge"],
)
@inject
async def evaluate_knowledge(
    data: JSONBody[EvaluateBody], caller: FromDishka[Caller], evaluate: FromDishka[EvaluateKnowledge]
) -> EvaluationEnvelope:
    cases = [
        EvaluationCase(one.query, (one.expected,) if isinstance(one.expected, str) else tuple(one.expected))
        for one in data.cases
    ]
    found = await evaluate(caller.user_id, data.knowledge_id, cases, 5 if data.k is None else data.k)
    answer = EvaluationEnvelope(data=EvaluationView.of(found))
    if found.lexical_only is not None:
        answer.retrieval, answer.reason = "lexical", found.lexical_only
    return answer


knowledge_evaluation_handlers: list[HTTPRouteHandler] = [evaluate_knowledge]
