"""What a server of embeddings says: vectors of length one in the order of their texts, or a refusal."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.openai.embedding_wire import halved, legible, vectors_in
from domain.errors import ModelError
from servers.embedding_scripts import cosine, floats, length


@given(st.lists(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)))
def test_whatever_the_numbers_a_vector_has_length_one_or_is_refused(rows: list[list[float]]) -> None:
    answer = json.dumps({"data": [{"index": place, "embedding": row} for place, row in enumerate(rows)]}).encode()
    if not all(map(any, rows)):
        with pytest.raises(ModelError):
            vectors_in(answer, count=len(rows), dimensions=3)
        return
    vectors = vectors_in(answer, count=len(rows), dimensions=3)
    assert [length(vector) for vector in vectors] == pytest.approx([1] * len(rows), abs=1e-5)
    assert all(cosine(vector, vector) == pytest.approx(1, abs=1e-5) for vector in vectors)


@given(st.permutations(range(6)))
def test_order_is_that_of_the_index(order: list[int]) -> None:
    items = [{"index": place, "embedding": [1.0 + place, 1.0]} for place in order]
    vectors = vectors_in(json.dumps({"data": items}).encode(), count=6, dimensions=2)
    assert [floats(vector)[0] for vector in vectors] == sorted(floats(vector)[0] for vector in vectors)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_no_bytes_break_the_reading(answer: bytes) -> None:
    with pytest.raises(ModelError):
        vectors_in(answer, count=1, dimensions=3)


@given(st.text(st.characters(), max_size=200), st.lists(st.text(min_size=1), min_size=1))
def test_texts_are_legible_and_get_shorter(text: str, texts: list[str]) -> None:
    assert legible(text).encode()
    assert legible(text)
    assert max(map(len, halved(texts))) <= max(map(len, texts)) // 2
