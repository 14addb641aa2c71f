"""What the settings say about knowledge is what it does."""

from pathlib import Path
from typing import Any, cast

import pytest

from adapters.web import WebClient
from domain.knowledge.chunking import ChunkSize
from entrypoints.graph.embedding import Reranking, reranker_of
from entrypoints.graph.knowledge import Knowledge
from entrypoints.settings.loading import load_settings
from kept_knowledge import KeptKnowledge


@pytest.mark.parametrize("seconds", ["0.5", "7", "30"])
def test_a_reranker_is_waited_for_as_long_as_the_settings_say(tmp_path: Path, seconds: str) -> None:
    environ = {"AGENTCHAT_RERANK__BASE_URL": "https://rerank.example/v1", "AGENTCHAT_RERANK__TIMEOUT": seconds}
    settings, kept = load_settings(environ, tmp_path), cast(Any, KeptKnowledge())
    reranking = Reranking(reranker_of(settings, WebClient()))
    made = Knowledge().retrieve(kept, kept, kept, kept, reranking, settings)
    assert made.reranking_seconds == float(seconds)
    assert made.reranker is reranking.reranker


@pytest.mark.parametrize(("answers", "questions"), [("1", 24), ("20", 24), ("21", 25), ("300", 304)])
def test_the_questions_of_all_answers_of_a_user_may_wait(tmp_path: Path, answers: str, questions: int) -> None:
    settings, kept = load_settings({"AGENTCHAT_MAX_RUNS_PER_USER": answers}, tmp_path), cast(Any, KeptKnowledge())
    made = Knowledge().retrieve(kept, kept, kept, kept, Reranking(None), settings)
    assert made.turns.most_waiting == questions


def test_files_are_cut_and_limited_as_the_settings_say(tmp_path: Path) -> None:
    chosen = {"CHUNK_TOKENS": "128", "CHUNK_OVERLAP": "17", "MAX_CHUNKS": "99"}
    settings = load_settings({f"AGENTCHAT_KNOWLEDGE__{name}": value for name, value in chosen.items()}, tmp_path)
    kept = cast(Any, KeptKnowledge())
    made = Knowledge().steps(kept, kept, kept, kept, settings)
    assert (made.size, made.most_chunks) == (ChunkSize(128, 17), 99)
