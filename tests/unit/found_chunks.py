"""Chunks of documents as a search finds them: overlapping, adjacent or apart, with exact offsets."""

from hypothesis import strategies as st

from domain.ids import ChunkId, KnowledgeFileId, KnowledgeId
from domain.knowledge.retrieval import FoundChunk

TEXTS = st.text(alphabet="ab好。 \n", min_size=1, max_size=60)


def found(text: str, start: int, end: int, *, number: int = 0, file: str = "f", page: int | None = None) -> FoundChunk:
    """The characters of a document of the file."""
    file_id = KnowledgeFileId(file)
    name = f"{file}.txt"
    return FoundChunk(ChunkId(number), KnowledgeId("k"), file_id, number, name, text[start:end], page, start, end)


@st.composite
def ranked(draw: st.DrawFn) -> tuple[dict[str, str], list[tuple[FoundChunk, float]]]:
    """The texts of some files, and chunks of them with scores, best first."""
    files = {f"file{number}": draw(TEXTS) for number in range(draw(st.integers(1, 3)))}
    chunks = []
    for number in range(draw(st.integers(0, 12))):
        file = draw(st.sampled_from(sorted(files)))
        start = draw(st.integers(0, len(files[file]) - 1))
        end = draw(st.integers(start + 1, len(files[file])))
        chunks.append(found(files[file], start, end, number=number, file=file))
    scores = sorted((draw(st.integers(0, 10)) / 10 for _ in chunks), reverse=True)
    return files, list(zip(chunks, scores, strict=True))
