"""Taking in a document through the job of its file, against parsing it and embedding the same chunks."""

import time
from collections.abc import AsyncIterator
from statistics import median

from knowledge_stack import Stack
from knowledge_words import Words

from application.ports.document_parser import DocumentParser
from domain.knowledge.chunking import ChunkSize, chunks
from domain.files.documents import ParsedDocument
from domain.knowledge.embedding_text import embedding_text
from domain.files.files import FileKind

TARGET = 0.10
NAME = "manual.md"
WORDS_A_CHUNK = 165
"""As many as the made-up words of a chunk of 300 tokens, about."""


async def against_local_model(stack: Stack, size: int, rounds: int) -> dict[str, str]:
    ours, raw, count = await _both(stack, size, rounds)
    share = ours / raw - 1
    verdict = "met" if share <= TARGET else "**missed**"
    return {
        f"taking in {count} chunks, local model: longer than parsing + embedding by, ≤ {TARGET:.0%}": (
            f"{share:+.1%} ({verdict})"
        ),
        "… ours; parsing + embedding, s": f"{ours:.2f}; {raw:.2f}",
    }


async def against_fast_provider(stack: Stack, size: int, rounds: int) -> dict[str, str]:
    """What it costs beside the embedding, whoever makes that."""
    ours, raw, count = await _both(stack, size, rounds)
    return {
        f"taking in {count} chunks, a provider that answers at once: own work, ms a chunk": (
            f"{1000 * (ours - raw) / count:.2f}"
        ),
        "… ours; parsing + embedding, s ": f"{ours:.2f}; {raw:.2f}",
    }


async def _both(stack: Stack, size: int, rounds: int) -> tuple[float, float, int]:
    """The medians of ours and raw, by turns, and the number of chunks. The first round only warms up."""
    content = Words().document(size * WORDS_A_CHUNK).encode()
    base = await stack.base(f"of {size}")
    await _raw(stack, content[:2000])
    await stack.ingest(base, NAME, content[:2000].decode(errors="ignore").encode())
    ours, raw, count = [], [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        count = (await stack.ingest(base, NAME, content)).chunks
        ours.append(time.perf_counter() - began)
        raw.append(await _raw(stack, content))
    return median(ours), median(raw), count


async def _raw(stack: Stack, content: bytes) -> float:
    """Seconds of parsing and embedding, but not of cutting."""
    parser = await stack.container.get(DocumentParser)
    began = time.perf_counter()
    document = await parser.parse(FileKind.MARKDOWN, _once(content))
    parsed = time.perf_counter() - began
    assert isinstance(document, ParsedDocument)
    chosen = stack.settings.knowledge
    cut = chunks(document, ChunkSize(chosen.chunk_tokens, chosen.chunk_overlap))
    texts = [embedding_text(NAME, chunk.headings, chunk.text) for chunk in cut]
    began = time.perf_counter()
    await stack.embedder.passages(texts)
    return parsed + time.perf_counter() - began


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
