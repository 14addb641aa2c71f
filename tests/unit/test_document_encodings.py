"""Text in the encodings of the world is read as it was written."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.documents.encodings import decoded, encoding_of
from application.ports.document_parser import DocumentRefused

HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5, categories=["Lo"])
COMMON_HAN = st.sampled_from(
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从"
)
PUNCTUATED = st.lists(
    st.one_of(COMMON_HAN, COMMON_HAN, COMMON_HAN, st.sampled_from("，。：；！？《》（）“”、 \n0123aZ")), min_size=12
).map("".join)
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn", "Cc", "Co"]), min_size=1).filter(
    lambda text: text[0] != "\ufeff" and "\ufffd" not in text
)
WORDS = (
    "Élan, garçon où été déjà çà. Größe Maß über Öl; niño señor ¿qué? smørrebrød. Plain words as well, in long lines."
)
WESTERN = st.lists(st.sampled_from(WORDS.split()), min_size=5).map(" ".join)


@given(TEXT)
def test_utf_8_is_always_read(text: str) -> None:
    assert decoded(text.encode()) == text
    assert decoded(text.encode("utf-8-sig")) == text


@given(TEXT, st.sampled_from(["utf-16", "utf-32"]))
def test_a_mark_decides(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=["Cc"]), min_size=2), st.booleans()
)
def test_western_utf_16_needs_no_mark(text: str, little: bool) -> None:
    assume(sum(char < "\u0100" for char in text) > len(text) / 2)
    assert decoded(text.encode("utf-16-le" if little else "utf-16-be")) == text


@given(PUNCTUATED)
def test_chinese_in_gb18030_is_read(text: str) -> None:
    assume(any(char > "\u4e00" for char in text))
    assert decoded(text.encode("gb18030")) == text


@given(PUNCTUATED, st.booleans())
def test_chinese_in_utf_16_needs_no_mark(text: str, little: bool) -> None:
    assume(sum("\u4e00" <= char <= "\u9fff" for char in text) > 10)
    assert decoded((text + "。\n").encode("utf-16-le" if little else "utf-16-be")) == text + "。\n"


@given(WESTERN, st.sampled_from(["cp1252", "latin-1"]))
def test_western_text_of_one_byte_is_read(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize("word", ["crème", "é", "naïveté", "Größe", "à la carte", "ÄÖÜ", "«à»", "façade"])
def test_one_word_of_latin_1_is_not_taken_for_chinese(word: str) -> None:
    assert decoded(word.encode("latin-1")) == word


@given(PUNCTUATED, st.integers(0, 40))
def test_half_a_character_at_the_end_of_what_was_cut_is_no_fault(text: str, less: int) -> None:
    data = ("文字" + text).encode()
    cut = data[: max(6, len(data) - less)]
    assert encoding_of(cut, is_cut=True) == "utf-8"
    assert ("文字" + text).startswith(decoded(cut, is_cut=True).rstrip("\ufffd"))


@given(st.binary(min_size=400, max_size=400).filter(lambda data: data[:2] not in {b"\xff\xfe", b"\xfe\xff"}))
def test_noise_is_no_text(noise: bytes) -> None:
    assume(len(set(noise)) > 100)
    with pytest.raises(DocumentRefused) as refused:
        decoded(noise)
    assert refused.value.code == "file_broken"


@given(st.binary())
def test_nothing_else_is_ever_raised(data: bytes) -> None:
    try:
        text = decoded(data)
    except DocumentRefused:
        return
    text.encode()
