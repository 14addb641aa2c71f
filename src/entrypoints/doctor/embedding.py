"""Does what makes vectors work, and do its vectors say what they should? Two short texts are embedded."""

import asyncio
from array import array
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from application.ports.embedder import Embedder
from domain.errors import ModelError
from domain.knowledge.embeddings import Vector
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, warn
from entrypoints.doctor.subject import Subject
from entrypoints.graph.embedders import ConfiguredEmbedders

NAME: Final = "embedding"
QUESTION: Final = "How do I choose a new password?"
NEAR: Final = "To reset your password, open the settings of your account."
FAR: Final = "The harbour was built of granite in the twelfth century."
CODES: Final = {
    "model_auth_failed": "put a valid key into api_key under [embedding], or into the variable that it names",
    "model_not_found": "correct model and base_url under [embedding]; base_url mostly ends in /v1",
    "model_bad_request": "correct model, base_url and dimensions under [embedding]",
    "model_bad_response": "correct model, base_url and dimensions under [embedding]",
}
ELSE_MEND: Final = "see that base_url under [embedding] can be reached from here; then wait, or look at its status page"
LOCAL_MEND: Final = "this machine may be too old for the local model, or out of memory: set another kind"
SILENCE_MEND: Final = "set kind under [embedding] to local, openai or openai_compatible"
NO_BUILD_MEND: Final = "set kind under [embedding] to openai or openai_compatible"


async def compares(subject: Subject) -> Sequence[Finding]:
    embedders = ConfiguredEmbedders(subject.settings, subject.web)
    subject.later.push_async_callback(embedders.aclose)
    chosen, local = embedders.configured, subject.settings.embedding.kind == "local"
    embedder = embedders.open(chosen.name) if chosen is not None else None
    if chosen is None or embedder is None:
        message = f"knowledge is searched by words alone. {embedders.lacking or 'The model is not there.'}".rstrip(".")
        return [warn(NAME, message, NO_BUILD_MEND if local else SILENCE_MEND)]
    begun = perf_counter()
    try:
        question, near, far = await embedded(embedder)
    except ModelError as error:
        mend = LOCAL_MEND if local else CODES.get(error.code, ELSE_MEND)
        return [fail(NAME, f"{chosen.name}: {error.message}", mend)]
    return [verdict(chosen.name, cosine(question, near), cosine(question, far), perf_counter() - begun)]


async def embedded(embedder: Embedder) -> tuple[Vector, Vector, Vector]:
    question, (near, far) = await asyncio.gather(embedder.query(QUESTION), embedder.passages([NEAR, FAR]))
    return question, near, far


def verdict(name: str, near: float, far: float, seconds: float) -> Finding:
    if near <= far:
        message = f"{name}: a question is no nearer to its answer ({near:.2f}) than to anything else ({far:.2f})"
        return fail(NAME, message, "choose a model that is made for search")
    return ok(NAME, f"{name}: answer {near:.2f}, other text {far:.2f} ({milliseconds(seconds)})")


def cosine(first: Vector, second: Vector) -> float:
    return sum(one * other for one, other in zip(array("f", first), array("f", second), strict=True))
