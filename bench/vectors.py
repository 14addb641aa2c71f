"""How fast and how right vectors are found: both indexes over 100,000 vectors, beside the raw parts in the same run.

.venv/bin/python bench/vectors.py --vectors 100000 --queries 100

The vectors lie in clusters of unlike sizes around a common middle, as those of texts do. Of the bases `half` holds every
second cluster (the hard case: what is filtered away lies together), `hundredth` one vector of a hundred, `rest` the rest.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from database import postgres

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from adapters.database.knowledge.chunk_tables import chunk_vectors  # noqa: E402
from adapters.database.vectors.pgvector_index import CANDIDATES, SETTINGS, SMALL, PgVectorIndex  # noqa: E402
from adapters.database.vectors.pgvector_table import chunk_embeddings, ensure_pgvector  # noqa: E402
from adapters.database.schema import migrate  # noqa: E402
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex  # noqa: E402
from application.ports.knowledge import VectorIndex  # noqa: E402
from domain.knowledge.embeddings import EmbeddingModel, Vector  # noqa: E402
from vector_shelf import Shelf, add_base  # noqa: E402

MODEL = EmbeddingModel("bench/clustered", 384)
LIMIT = 10
ASKED = {"all": ["half", "hundredth", "rest"], "half": ["half"], "hundredth": ["hundredth"]}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--only", choices=("embedded", "pgvector"))
    return parser.parse_args()


def clustered(count: int, queries: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vectors, the base of each, and the queries."""
    rng = np.random.default_rng(7)
    topics = max(2, count // 100)
    middle, spread = rng.normal(size=MODEL.dimensions), rng.normal(size=(96, MODEL.dimensions)) / np.sqrt(96)
    latent = rng.normal(size=(topics, 96))
    shares = rng.dirichlet(np.full(topics, 0.5))
    topic = rng.choice(topics, size=count + queries, p=shares)
    points = latent[topic] + 0.6 * rng.normal(size=(len(topic), 96))
    made = 1.5 * middle + points @ spread + 0.2 * rng.normal(size=(len(topic), MODEL.dimensions))
    made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype("<f4")
    base = np.where(topic % 2 == 0, "half", "rest").astype("<U9")
    base[rng.random(len(topic)) < 0.01] = "hundredth"
    return made[:count], base[:count], made[count:]


def recall(found: Sequence[Sequence[int]], true: Sequence[Sequence[int]]) -> float:
    return round(statistics.mean(len({*a} & {*b}) / len(b) for a, b in zip(found, true, strict=True)), 4)


class World:
    """The vectors, those of each asked set of bases, and what is truly nearest to each query among them."""

    def __init__(self, vectors: int, queries: int) -> None:
        self.vectors, self.bases, self.queries = clustered(vectors, queries)
        self.ids = {name: np.flatnonzero(np.isin(self.bases, bases)) + 1 for name, bases in ASKED.items()}
        self.matrices = {name: self.vectors[ids - 1] for name, ids in self.ids.items()}
        self.true = {name: [self.nearest(name, query) for query in self.queries] for name in ASKED}

    def nearest(self, name: str, query: np.ndarray) -> list[int]:
        """The raw part: what numpy alone does."""
        scores = self.matrices[name] @ query
        best = np.argpartition(scores, -LIMIT)[-LIMIT:]
        return self.ids[name][best[np.argsort(-scores[best])]].tolist()

    async def fill(self, shelf: Shelf) -> None:
        """Chunks are numbered from 1, in the order of the vectors."""
        for name in ASKED["all"]:
            await shelf.write(lambda connection, name=name: add_base(connection, name))
            numbers = (np.flatnonzero(self.bases == name) + 1).tolist()
            for first in range(0, len(numbers), 5000):
                rows = {number: self.vectors[number - 1].tobytes() for number in numbers[first : first + 5000]}
                await shelf.put_at(name, rows, MODEL.name)

    async def measure(self, index: VectorIndex, raw: Callable[[str, np.ndarray], Awaitable[list[int]]]) -> Any:
        """Ours and raw by turns, so that what else the machine does meets both alike."""
        table: dict[str, Any] = {}
        for name, bases in ASKED.items():
            times: tuple[list[float], list[float]] = ([], [])
            found: tuple[list[Any], list[Any]] = ([], [])
            await index.search(Vector(self.queries[0].tobytes()), MODEL.name, bases, LIMIT)
            for number, query in enumerate(self.queries):
                packed = Vector(query.tobytes())
                # Who comes second finds warm caches: that is each of them by turns.
                for who in (0, 1) if number % 2 else (1, 0):
                    began = time.perf_counter()
                    if who:
                        got = await raw(name, query)
                    else:
                        got = [hit.chunk_id for hit in await index.search(packed, MODEL.name, bases, LIMIT)]
                    times[who].append(time.perf_counter() - began)
                    found[who].append(got)
            ours, theirs = (1000 * statistics.median(one) for one in times)
            table[name] = {
                "ms": round(ours, 2),
                "raw_ms": round(theirs, 2),
                "ratio": round(ours / theirs, 2),
                "recall": recall(found[0], self.true[name]),
                "raw_recall": recall(found[1], self.true[name]),
            }
        return table


async def in_memory(world: World, folder: str) -> Any:
    url = f"sqlite:///{folder}/vectors.db"
    await migrate(url)
    index = EmbeddedVectorIndex(url)
    shelf = Shelf(url, chunk_vectors, index)
    await world.fill(shelf)
    longest, began = 0.0, time.perf_counter()
    loading = asyncio.ensure_future(index.search(Vector(world.queries[0].tobytes()), MODEL.name, ASKED["all"], LIMIT))
    while not loading.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    first = {"first_search_ms": round(1000 * (time.perf_counter() - began)), "loop_held_ms": round(1000 * longest, 1)}

    async def raw(name: str, query: np.ndarray) -> list[int]:
        return world.nearest(name, query)

    table = await world.measure(index, raw)
    await index.aclose()
    await shelf.aclose()
    return first | table


STATEMENT = """
    SELECT chunk_id, vector <#> $1::real[]::vector FROM chunk_embeddings
    WHERE model = $2 AND knowledge_id = ANY($3) AND vector_dims(vector) = 384 ORDER BY {order} LIMIT {limit}
"""


async def in_pgvector(world: World) -> Any:
    with postgres() as (url, _):
        await migrate(url)
        await ensure_pgvector(url, None)
        index = PgVectorIndex(url)
        shelf = Shelf(url, chunk_embeddings, index)
        await world.fill(shelf)
        connection = await asyncpg.connect(url, server_settings={"jit": "off", **SETTINGS})
        await connection.execute("ALTER ROLE bench SET maintenance_work_mem = '512MB'")
        began = time.perf_counter()
        await ensure_pgvector(url, MODEL)
        built = {"hnsw_built_s": round(time.perf_counter() - began, 1)}
        await connection.execute("ANALYZE chunk_embeddings")
        hnsw, exact = "vector::vector(384) <#> $1::real[]::vector(384)", "vector <#> $1::real[]::vector"
        nearly = await connection.prepare(STATEMENT.format(order=hnsw, limit=CANDIDATES))
        surely = await connection.prepare(STATEMENT.format(order=exact, limit=LIMIT))

        async def raw(name: str, query: np.ndarray) -> list[int]:
            statement = nearly if len(world.ids[name]) > SMALL else surely
            rows = await statement.fetch(query.tolist(), MODEL.name, ASKED[name])
            return [row[0] for row in sorted(rows, key=lambda row: row[1])[:LIMIT]]

        table = await world.measure(index, raw)
        await connection.close()
        await index.aclose()
        await shelf.aclose()
        return built | table


async def main() -> None:
    given = options()
    world = World(given.vectors, given.queries)
    if given.only != "pgvector":
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"embedded": await in_memory(world, folder)}, indent=2), flush=True)
    if given.only != "embedded":
        print(json.dumps({"pgvector": await in_pgvector(world)}, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
