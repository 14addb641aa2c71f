"""How fast knowledge is found and taken in, beside the raw parts in the same run, on SQLite and on Postgres with pgvector.

    .venv/bin/python bench/knowledge_speed.py [--chunks 100000] [--queries 60] [--databases sqlite postgres] [--document]

Retrieval: the use case, hybrid, in one base of three, against the query's embedding and the bare search of vectors.
Ingestion: the job of a file against parsing and embedding the same chunks, with the local model and with a provider that
answers at once. Memory: a server that takes in a PDF of 500 pages. Ours and raw take turns; figures are medians.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from database import postgres
from fake_embeddings import provider
from knowledge_ingestion import against_fast_provider, against_local_model
from knowledge_memory import memory
from knowledge_retrieval import retrieval
from knowledge_stack import Stack

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- knowledge: written by bench/knowledge_speed.py --document -->", "<!-- end of knowledge -->"
WORDS = 110
"""Of a chunk of the large base: some 220 tokens, which a chunk of 300 at most has in the mean, about."""

Table = dict[str, dict[str, str]]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000, help="of the base that is searched")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--manual", type=int, default=30, help="chunks, about, of a document for the local model")
    parser.add_argument("--long", type=int, default=600, help="chunks, about, of a document for the fast provider")
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=2, help="of ingestion")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"], choices=("sqlite", "postgres"))
    parser.add_argument("--only", nargs="+", default=["retrieval", "ingestion", "memory"])
    parser.add_argument("--document", action="store_true", help="write the table of docs/performance.md")
    return parser.parse_args()


@contextmanager
def database(name: str) -> Iterator[dict[str, str]]:
    """Settings for a fresh one."""
    if name == "sqlite":
        yield {}
        return
    with postgres(shared_buffers="512MB", maintenance_work_mem="512MB", max_wal_size="8GB") as (url, _):
        yield {"DATABASE_URL": url, "VECTOR": json.dumps({"kind": "pgvector"})}


@asynccontextmanager
async def stack(name: str, more: Mapping[str, str] | None = None) -> AsyncIterator[Stack]:
    with database(name) as where, tempfile.TemporaryDirectory() as folder:
        async with Stack.opened(Path(folder), {**where, **(more or {})}) as opened:
            yield opened


async def measured(name: str, given: argparse.Namespace) -> dict[str, str]:
    figures: dict[str, str] = {}
    if "retrieval" in given.only:
        async with stack(name) as local:
            figures |= await retrieval(local, given.chunks, given.queries, WORDS)
    if "ingestion" in given.only:
        async with stack(name) as local:
            figures |= await against_local_model(local, given.manual, given.rounds)
        with provider() as embedding:
            async with stack(name, embedding) as fast:
                figures |= await against_fast_provider(fast, given.long, given.rounds)
    if "memory" in given.only:
        with database(name) as where:
            figures |= memory(where, given.pages)
    return figures


def table(columns: dict[str, dict[str, str]]) -> list[str]:
    rows = list(dict.fromkeys(row for figures in columns.values() for row in figures))
    lines = ["| | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    return lines + [f"| {row} | " + " | ".join(one.get(row, "") for one in columns.values()) + " |" for row in rows]


def main() -> None:
    given = options()
    columns = {}
    for name in given.databases:
        columns[name] = asyncio.run(measured(name, given))
        print(f"{name}: done", file=sys.stderr)
    lines = table(columns)
    print("\n".join(lines))
    if given.document:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


if __name__ == "__main__":
    main()
