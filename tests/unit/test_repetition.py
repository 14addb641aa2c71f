"""What stands in a file more than once gets one vector, and every chunk gets that of its own text."""

from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.chunking import Chunk
from domain.knowledge.embeddings import Vector
from domain.knowledge.repetition import Repeated

CHUNKS = st.lists(
    st.builds(Chunk, st.just(0), st.just(1), st.sampled_from("abcd"), headings=st.sampled_from([(), ("a",), ("b",)])),
    max_size=30,
)


def vector_of(chunk: Chunk) -> Vector:
    return Vector(repr((chunk.headings, chunk.text)).encode())


@given(CHUNKS, st.integers(1, 5))
def test_every_chunk_gets_the_vector_of_its_text_and_each_text_is_embedded_once(chunks: list[Chunk], most: int) -> None:
    repeated, done, embedded = Repeated.among(chunks), 0, list[Vector]()
    while done < len(chunks):
        batch = repeated.batch(chunks[done:], most)
        lacking = repeated.lacking(batch)
        made = [vector_of(chunk) for chunk in lacking]
        assert len(lacking) <= most
        # As many as that allows: the next one would need another vector, or there is none.
        assert done + len(batch) == len(chunks) or len(lacking) == most
        assert repeated.completed(batch, lacking, made) == [vector_of(chunk) for chunk in batch]
        embedded += made
        done += len(batch)
    assert len(embedded) == len(set(embedded)) == len({(chunk.headings, chunk.text) for chunk in chunks})


def test_only_what_is_repeated_is_remembered() -> None:
    once, twice = Chunk(0, 1, "once"), Chunk(0, 1, "twice")
    repeated = Repeated.among([once, twice, twice])
    repeated.completed([once, twice], [once, twice], [Vector(b"1"), Vector(b"2")])
    assert list(repeated.lacking([once, twice])) == [once]
