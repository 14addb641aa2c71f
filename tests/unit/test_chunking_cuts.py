"""Where chunks end: where a person would pause, in Chinese and in English."""

import time
from itertools import pairwise

import pytest

from domain.files.documents import Heading, Page, ParsedDocument, Table
from domain.knowledge.chunking import ChunkSize, chunks
from domain.knowledge.sentences import sentence_ends
from domain.tokens import estimate

SENTENCE = "Some words are said here, and then some more. "


def cut(text: str, most: int = 100, overlap: int = 0) -> list[str]:
    return [chunk.text for chunk in chunks(ParsedDocument(text), ChunkSize(most, overlap))]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "See e.g. Fig. 3 of Dr. Smith, J. Doe et al. Then go.",
            ["See e.g. Fig. 3 of Dr. Smith, J. Doe et al. Then go."],
        ),
        ("It costs 3.14 or 1.000. Pay.", ["It costs 3.14 or 1.000.", "Pay."]),
        ("He said “Go!” Then he went.", ["He said “Go!”", "Then he went."]),
        ("他说：“走吧！”然后走了。后来？没有了；完", ["他说：“走吧！”", "然后走了。", "后来？", "没有了；", "完"]),
        ("Steps:\n1. Open it\n2. Close it", ["Steps:", "1. Open it", "2. Close it"]),
        ("- one\n- two", ["- one", "- two"]),
        ("It was in 1999. The end", ["It was in 1999.", "The end"]),
        ("", []),
        ("...", ["..."]),
    ],
)
def test_sentences_end_where_people_end_them(text: str, sentences: list[str]) -> None:
    ends = sorted({*sentence_ends(text, 0, len(text)), len(text)})
    said = [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]
    assert [one for one in said if one] == sentences


def test_a_long_text_is_cut_between_paragraphs() -> None:
    paragraph = SENTENCE * 7
    assert [one.strip() for one in cut(f"{paragraph}\n\n" * 5)] == [paragraph.strip()] * 5


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    assert all(one.strip().endswith("more.") for one in cut(SENTENCE * 50))
    assert all(one.endswith("。") for one in cut("这是一个很长的句子没有空格。" * 50))


def test_a_long_sentence_is_cut_behind_a_comma_and_without_one_between_words() -> None:
    assert all(one.endswith("，") for one in cut("这是一个很长的句子，" * 50))
    assert all(one.strip().split()[-1] == "word" for one in cut("word " * 500))


def test_what_is_seen_as_one_character_is_not_cut() -> None:
    for text in ("👨\u200d👩\u200d👧" * 200, "e\u0301" * 900, "a👍🏽" * 300):
        assert all(one[0] in "👨ea👍" for one in cut(text, 50))


def test_a_rest_of_a_few_words_is_not_left_alone() -> None:
    sizes = [estimate(one) for one in cut(SENTENCE * 10)]
    assert len(sizes) == 2
    assert min(sizes) > 40


def test_neighbours_share_whole_sentences() -> None:
    found = chunks(ParsedDocument(SENTENCE * 50), ChunkSize(100, 30))
    for one, following in pairwise(found):
        assert following.text.startswith("Some words")
        assert following.start < one.end


def test_small_neighbours_under_one_heading_stand_together_and_large_ones_do_not() -> None:
    small, large = "## A\n\nfew words\n\n", f"## B\n\n{SENTENCE * 5}\n\n"
    text = f"{small}{small}{large}{large}"
    starts = [at for at in range(len(text)) if text.startswith("## ", at)]
    headings = tuple(Heading(2, text[at + 3], at) for at in starts)
    found = chunks(ParsedDocument(text, headings=headings), ChunkSize(100, 20))
    assert [chunk.start for chunk in found] == [0, starts[3]]


def test_a_heading_is_never_the_end_of_a_chunk() -> None:
    text = "".join(f"#### Title\n\n{SENTENCE * 3}\n\n" for _ in range(20))
    headings = tuple(Heading(4, "Title", at) for at in range(len(text)) if text.startswith("####", at))
    for most in range(80, 200, 7):
        for chunk in chunks(ParsedDocument(text, headings=headings), ChunkSize(most, 0)):
            assert not chunk.text.rstrip().endswith("Title")


def test_a_title_alone_goes_with_its_first_sub_section_and_stands_above_the_others() -> None:
    text = f"# Guide\n\n## Install\n\n{SENTENCE * 8}\n\n## Use\n\n{SENTENCE * 8}"
    headings = (Heading(1, "Guide", 0), Heading(2, "Install", 9), Heading(2, "Use", text.index("## Use")))
    install, use = chunks(ParsedDocument(text, headings=headings), ChunkSize(110, 0))
    assert install.text.startswith("# Guide")
    assert use.text.startswith("## Use")
    assert use.headings == ("Guide",)


def test_a_long_table_is_cut_between_rows_and_its_head_is_said_again_beside_the_text() -> None:
    rows = [f"| row {number} | An item. It is here. |" for number in range(100)]
    table = "\n".join(["| name | what |", "| --- | --- |", *rows])
    document = ParsedDocument(table, headings=(Heading(1, "Stock", 0),), tables=(Table(0, len(table)),))
    first, *others = chunks(document, ChunkSize(100, 30))
    assert others
    assert all(line in table.splitlines() for chunk in [first, *others] for line in chunk.text.splitlines())
    assert {chunk.headings for chunk in others} == {("Stock", "| name | what |")}
    assert sum(chunk.text.count("| row") for chunk in [first, *others]) == 100


@pytest.mark.parametrize(
    ("end", "beginning", "together"),
    [
        ("the sentence goes", "on here.", True),
        ("它在这里继续", "下去。", True),
        ("It ends here.", "on the next page", False),
        ("它在这里结束。", "下一页", False),
        ("A title", "Another title", False),
        ("", "alone", False),
    ],
)
def test_pages_are_apart_unless_a_sentence_goes_on(end: str, beginning: str, together: bool) -> None:
    pages = (Page(1, "1", 0, len(end)), Page(2, "2", len(end) + 2, len(end) + 2 + len(beginning)))
    found = chunks(ParsedDocument(f"{end}\n\n{beginning}", pages), ChunkSize())
    assert [chunk.page for chunk in found] == ([1] if together else [1, 2] if end else [2])


@pytest.mark.parametrize(
    "text", ["x", "好", ". ", "。", "a好", "\n", " ", "\n# a\n", "a\u0301", "👨\u200d", "| x |\n", '."', "x   "]
)
def test_the_work_grows_with_the_text_and_no_faster(text: str) -> None:
    begun = time.process_time()
    long = text * (400_000 // len(text))
    marks = [at for at in range(len(long)) if long[at] == "#"]
    headings = tuple(Heading(1 + number % 6, "a", at) for number, at in enumerate(marks))
    chunks(ParsedDocument(long, headings=headings), ChunkSize())
    assert time.process_time() - begun < 5
