"""Passages: in order, short, each on one page, and nothing left out but white space."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.documents import ParsedDocument
from domain.passages import LONGEST, passages
from unit.documents_strategies import documents

long_texts = st.lists(
    st.sampled_from(["word ", "A sentence. ", "第一句。", "\n", "\n\n", "x" * 300, "好" * 500]), max_size=60
).map("".join)


@given(documents(longest=8) | st.builds(ParsedDocument, long_texts))
def test_passages_hold_the_whole_text_in_order(document: ParsedDocument) -> None:
    found = passages(document)
    assert all(0 < one.end - one.start <= LONGEST for one in found)
    assert all(earlier.end <= later.start for earlier, later in pairwise(found))
    left = list(document.text)
    for one in reversed(found):
        del left[one.start : one.end]
    assert not "".join(left).strip()


@given(documents(longest=8))
def test_a_passage_is_on_one_page_and_says_which(document: ParsedDocument) -> None:
    for one in passages(document):
        pages = [page for page in document.pages if page.start < one.end and one.start < page.end]
        assert [page.label for page in pages] == ([] if one.label is None else [one.label])


@given(long_texts)
def test_nothing_blank_is_a_passage(text: str) -> None:
    assert all(text[one.start : one.end].strip() for one in passages(ParsedDocument(text)))


def test_a_long_text_is_cut_between_paragraphs() -> None:
    paragraph = "A sentence. " * 40
    text = f"{paragraph}\n\n{paragraph}\n\n{paragraph}"
    assert [text[one.start : one.end].strip() for one in passages(ParsedDocument(text))] == [paragraph.strip()] * 3


def test_chinese_is_cut_after_a_sentence() -> None:
    text = "这是一个很长的句子没有空格。" * 100
    assert all(text[one.start : one.end].endswith("。") for one in passages(ParsedDocument(text)))
