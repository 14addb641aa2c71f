"""How well questions find their answers in manuals that others wrote: by words, by vectors, and by both.

    .venv/bin/python bench/retrieval.py [--cache FOLDER] [--sizes 300] [--overlap 40] [--plain] [--tune] [--document]

Documents of Debian are fetched (Debian and Ubuntu only), and taken in and ranked by the product's own use cases on
SQLite, as if they were uploaded. The half of the questions called development is for choosing (`--tune` tries fusions
on it, `--sizes 128 256 512` compares sizes of chunks), the half called test is what counts. Vectors are kept in the
cache folder: the first run takes about half an hour of one core for each size, the next ones a minute.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from knowledge_stack import Stack
from retrieval_corpus import contents, fetch
from retrieval_questions import FIGURES, Question, figures, fitting, likely, questions
from retrieval_ranking import Corpus, KeptVectors, kept

from domain.knowledge.chunking import ChunkSize
from domain.knowledge.fusion import FUSION, Fusion, hybrid
from domain.knowledge.retrieval import Hit

HALVES = ("development", "test")
LANGUAGES = {"en": "English", "zh": "Chinese"}
WAYS = ("lexical", "dense", "hybrid")
TABLE = Path(__file__).parent.parent / "docs" / "retrieval.md"
BEGIN, END = "<!-- figures: written by bench/retrieval.py --document -->", "<!-- end of figures -->"

Rankings = dict[str, list[tuple[Question, Sequence[Hit], Sequence[Hit]]]]
Places = dict[tuple[str, str, str], list[int | None]]


def options() -> argparse.Namespace:
    size = ChunkSize()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "agentchat-retrieval")
    parser.add_argument("--sizes", type=int, nargs="+", default=[size.most], help="tokens of a chunk, at most")
    parser.add_argument("--overlap", type=int, help="tokens that neighbours share; else as many of 300 as by default")
    parser.add_argument("--plain", action="store_true", help="embed the content alone, without file name and headings")
    parser.add_argument("--only", default="", help="names of documents begin so: a smaller corpus, to compare sizes")
    parser.add_argument("--tune", action="store_true", help="try other fusions on the development half")
    parser.add_argument("--document", action="store_true", help="write the table of docs/retrieval.md")
    return parser.parse_args()


async def ranked(
    language: str, chosen: argparse.Namespace, size: ChunkSize, stack: Stack, vectors: KeptVectors
) -> tuple[Corpus, Rankings]:
    documents = [one for one in contents(language, chosen.cache) if one[0].startswith(chosen.only)]
    corpus = await Corpus.taken_in(stack, vectors, f"{language} {size.plan}", documents, size)
    kept, wrong = fitting([one for one in questions(language) if one.file.startswith(chosen.only)], corpus.texts)
    for complaint in wrong:
        print(f"left out: {complaint}", file=sys.stderr)
    found: Rankings = {half: [] for half in HALVES}
    for one in kept:
        found[one.half].append((one, *await corpus.ranked(one.question)))
    return corpus, found


def places(corpus: Corpus, half: Sequence[tuple[Question, Sequence[Hit], Sequence[Hit]]], fusion: Fusion) -> list[
    tuple[int | None, int | None, int | None]
]:  # fmt: skip
    """Of each question, where its answer stands by words, by vectors and by both."""
    return [
        (corpus.place(one, lexical), corpus.place(one, dense), corpus.place(one, hybrid(dense, lexical, fusion)))
        for one, dense, lexical in half
    ]


def tune(language: str, corpus: Corpus, found: Rankings) -> None:
    """The best fusions on the development half, by nDCG."""
    tried = []
    for k, dense in product((2.0, 5.0, 10.0, 20.0, 30.0, 60.0), (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9)):
        fusion = replace(FUSION, k=k, dense=dense, lexical=round(1 - dense, 2))
        tried.append((figures([both for _, _, both in places(corpus, found["development"], fusion)]), fusion))
    for scores, fusion in sorted(tried, key=lambda one: -one[0][2]):
        print(f"{language} k={fusion.k:<4g} dense={fusion.dense:<4g} " + " ".join(f"{one:.3f}" for one in scores))


def table(all_places: Places) -> list[str]:
    head = [f"{half}: {name}" for half in HALVES for name in FIGURES]
    lines = ["| | | " + " | ".join(head) + " |", "|" + "---|" * (len(head) + 2)]
    for language, spoken in LANGUAGES.items():
        for way in WAYS:
            cells = [f"{one:.3f}" for half in HALVES for one in figures(all_places[language, half, way])]
            lines.append(f"| {spoken} | {way} | " + " | ".join(cells) + " |")
    return lines


def doubts(all_places: Places) -> list[str]:
    """What hybrid has over its parts on the test half, and how sure that is."""
    lines = ["| test half | " + " | ".join(FIGURES) + " |", "|" + "---|" * (len(FIGURES) + 1)]
    for language, spoken in LANGUAGES.items():
        ours = all_places[language, "test", "hybrid"]
        for part in WAYS[:2]:
            theirs = all_places[language, "test", part]
            gaps = [our - their for our, their in zip(figures(ours), figures(theirs), strict=True)]
            cells = [
                f"{gap:+.3f} ({low:+.3f} … {high:+.3f})"
                for gap, (low, high) in zip(gaps, likely(ours, theirs), strict=True)
            ]
            lines.append(f"| {spoken}: hybrid over {part} | " + " | ".join(cells) + " |")
    return lines


def document(lines: Sequence[str]) -> None:
    before, _, rest = TABLE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    TABLE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


def size_of(most: int, overlap: int | None) -> ChunkSize:
    usual = ChunkSize()
    return ChunkSize(most, round(most * usual.overlap / usual.most) if overlap is None else overlap)


async def measured(chosen: argparse.Namespace, size: ChunkSize, stack: Stack, vectors: KeptVectors) -> list[str]:
    """The report on chunks of that size."""
    found_places: Places = {}
    sizes = [f"Chunks of {size.most} tokens, of which neighbours share {size.overlap}.", ""]
    for language in LANGUAGES:
        corpus, found = await ranked(language, chosen, size, stack, vectors)
        if chosen.tune:
            tune(language, corpus, found)
        for half in HALVES:
            by_way = zip(*places(corpus, found[half], FUSION), strict=True)
            found_places |= {(language, half, way): list(one) for way, one in zip(WAYS, by_way, strict=True)}
        counts = " and ".join(f"{len(found[half])} of the {half} half" for half in HALVES)
        sizes.append(f"{LANGUAGES[language]}: {corpus.count} chunks of {len(corpus.texts)} files, {counts}.")
    return [*sizes, "", *table(found_places), "", *doubts(found_places)]


async def main() -> None:
    chosen = options()
    fetch(chosen.cache)
    reports: list[str] = []
    with kept(chosen.cache / "vectors.db") as database, tempfile.TemporaryDirectory() as folder:
        async with Stack.opened(Path(folder), {}) as stack:
            vectors = KeptVectors(stack.embedder, database, plain=chosen.plain)
            for most in chosen.sizes:
                report = await measured(chosen, size_of(most, chosen.overlap), stack, vectors)
                print("\n".join(report))
                reports += ["", *report] if reports else report
    if chosen.document:
        document(reports)


if __name__ == "__main__":
    asyncio.run(main())
