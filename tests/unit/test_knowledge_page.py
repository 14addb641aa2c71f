"""The documentation's page of the API names what knowledge looks like, and its limits."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from application.knowledge import evaluation, rankings, retrieval
from domain.dialogs.messages import Citation
from domain.knowledge import knowledge
from entrypoints.http.v1.knowledge import KnowledgeView, PassageView
from entrypoints.http.v1.knowledge_files import KnowledgeFileView

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SECTION = PAGE.partition("\n## Knowledge\n")[2].partition("\n## ")[0]
TIMES = {"create_time", "update_time"}


def names(view: Any) -> set[str]:
    return {one.name for one in msgspec.structs.fields(view)}


@pytest.mark.parametrize(("begins", "view"), [("A base has ", KnowledgeView), ("A file has ", KnowledgeFileView)])
def test_every_field_is_named_where_its_object_is_described(begins: str, view: Any) -> None:
    described = SECTION.partition(f"\n{begins}")[2].partition("\n\n")[0]
    assert names(view) - TIMES <= {*re.findall(r"`(\w+)`", described)}


def test_a_passage_is_described_field_by_field_and_a_citation_is_one_with_its_number() -> None:
    described = re.findall(r"A passage is `{([^}]+)}`", SECTION)
    assert [one.split(", ") for one in described] == [list(PassageView.__struct_fields__)]
    assert {one.name for one in fields(Citation)} == names(PassageView) | {"index"}
    assert "A citation is a passage with its number, `index`" in SECTION


@pytest.mark.parametrize(
    "limit",
    [
        f"A name has 1 to {knowledge.NAME_MAX} characters",
        f"a description has up to {knowledge.DESCRIPTION_MAX:,}.",
        f"at most {knowledge.BASES_MAX:,} bases, a base {knowledge.MOST_FILES:,} files",
        f"1 to {rankings.MOST_QUERY_CHARS:,} characters",
        f"the first {rankings.LOOKED_AT:,} are searched for",
        f"of its first {rankings.EMBEDDED_TOKENS}\n",
        f"`top_k` is 1 to {retrieval.MOST_PASSAGES}",
        f"up to\n{retrieval.MOST_BASES} bases",
        f"over {rankings.SEARCHING_SECONDS:g} seconds is the 503",
        f"`cases` are 1 to {evaluation.MOST_CASES}, and `k` is 1 to {evaluation.MOST_K}",
        f"up to {evaluation.MOST_EXPECTED} of {evaluation.LONGEST_EXPECTED:,} characters",
    ],
)
def test_a_limit_on_the_page_is_the_one_that_is_kept(limit: str) -> None:
    assert limit in SECTION
