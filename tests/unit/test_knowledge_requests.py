"""What a request about knowledge may say, and what is shown of a file's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.knowledge.retrieval import MOST_BASES
from domain.errors import InvalidValue
from domain.files.files import parse_file_name
from domain.ids import KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge.knowledge import KnowledgeFile
from entrypoints.http.identifiers import of_delete
from kept_knowledge import KeptKnowledge
from stored import NOW, stored_file

ids = st.text("ab1-", min_size=1, max_size=4)


@given(st.none() | ids, st.none() | st.just("") | ids)
def test_what_is_deleted_is_named_once_or_twice_the_same(in_body: str | None, in_query: str | None) -> None:
    named = {one for one in (in_body, in_query) if one}
    if len(named) == 1:
        assert {of_delete("knowledge", in_body, in_query)} == named
        return
    with pytest.raises(InvalidValue) as refused:
        of_delete("knowledge", in_body, in_query)
    assert [one.name for one in refused.value.fields] == ["knowledge_id"]
    assert all(repr(one) in refused.value.message for one in named)


def test_an_id_of_any_length_is_named_by_its_beginning_alone() -> None:
    with pytest.raises(InvalidValue) as refused:
        of_delete("knowledge_file", "a", "b" * 100_000)
    assert len(refused.value.message) < 300


def shown(name: str) -> str:
    upload = stored_file(UserId("ada"), name=parse_file_name(name))
    return KnowledgeFile.create(KnowledgeFileId("f"), KnowledgeId("k"), upload, NOW).name


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("/srv/ann/Report 1.pdf", "Report 1.pdf"),
        ("C:\\fakepath\\报告.pdf", "报告.pdf"),
        ("../../etc/passwd", "passwd"),
        ("a.pdf", "a.pdf"),
        ("folder/", "folder/"),
        ("\\", "\\"),
    ],
)
def test_a_name_that_looks_like_a_path_is_shown_as_its_last_part(name: str, last: str) -> None:
    assert shown(name) == last


@given(st.text(alphabet="a./\\ 名", max_size=12))
def test_a_shown_name_is_never_empty_and_tells_no_folder_of_a_file(name: str) -> None:
    given_name = parse_file_name(name)
    last = shown(name)
    assert last
    assert given_name.endswith(last)
    assert last == given_name or not set("/\\") & set(last)


async def test_too_many_bases_and_none_are_told_what_would_be_right() -> None:
    for several in ([], [str(number) for number in range(MOST_BASES + 1)]):
        with pytest.raises(InvalidValue, match="knowledge_id: must name 1 to 128 knowledge bases"):
            await KeptKnowledge().retrieval()(UserId("ada"), "years", several)
