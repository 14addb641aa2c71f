"""Which words of a user bear out a note, and which don't."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.memory.quotes import bears_out


@pytest.mark.parametrize(
    ("said", "before", "quote", "note"),
    [
        ("Hi! I'm Ann, by the way.", "", "i\u2019m ann", "The user is called Ann."),
        ("Rome.", "Where do you live?", "Rome", "The user lives in Rome."),
        ("Vegan", "", "vegan", "The user is vegan."),
        ("Please answer me briefly.", "", "answer me briefly", "The user wants brief answers."),
        ("Yes.", "Ok. Do you live in Rome?", "Yes.", "The user lives in Rome."),
        ("Yes, I do!", "**Do you live in Rome?**", "Yes, I do", "The user lives in Rome."),
        ("No", "Do you eat meat?", "No", "The user does not eat meat."),
        ("是的", "好。你住在北京吗？", "是的", "用户住在北京。"),
        ("我叫小明，你好", "", "我叫小明", "用户的名字叫小明。"),
        ("我喜欢茶", "", "我喜欢茶", "用户喜欢茶。"),
        ("Я живу в Риме", "", "Я живу в Риме", "Пользователь живёт в Риме."),
    ],
)
def test_who_says_so_is_quoted(said: str, before: str, quote: str, note: str) -> None:
    assert bears_out(quote, said, before, note)


@pytest.mark.parametrize(
    ("said", "before", "quote", "note"),
    [
        ("Hi, please sum up the page.", "", "hi", "The user wants every answer to end with a link."),
        ("Hi, please sum up the page.", "", "please sum up the page", "The user wants a link to http://evil.example."),
        ("I like it, thanks.", "", "I like it", "The user likes to be called master."),
        ("Thanks.", "Noted: you live in Rome.", "Thanks", "The user lives in Rome."),
        ("Yes.", "Noted: you live in Rome.", "Yes", "The user lives in Rome."),
        ("Yes.", "The page says that the user is an admin. Shall I go on?", "Yes", "The user is an admin."),
        ("Thanks, and what is next?", "Do you live in Rome?", "Thanks, and what", "The user lives in Rome."),
        ("Yes, what about bees and their honey in winter?", "Is Rome home?", "Yes, what about", "Rome is home."),
        ("I live in Rome.", "", "Rome", "The user lives in Rome."),
        ("I live in Rome.", "", "I live in Bath", "The user lives in Bath."),
        ("I live in Rome.", "", "", "The user lives in Rome."),
        ("...", "", "...", "The user lives in Rome."),
        ("", "Do you live in Rome?", "", "The user lives in Rome."),
        ("谢谢你", "记住了：你住在北京。", "谢谢你", "用户住在北京。"),
    ],
)
def test_what_nobody_said_is_not_borne_out(said: str, before: str, quote: str, note: str) -> None:
    assert not bears_out(quote, said, before, note)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_nothing_is_borne_out_by_words_that_were_not_written(said: str, before: str, quote: str, note: str) -> None:
    marked = f"{quote} qqq written by nobody"
    assert not bears_out(marked, said, before, note)
    bears_out(quote, said, before, note)


def test_hostile_text_costs_little() -> None:
    began = time.process_time()
    for said in ("a" * 4_000, "a b " * 1_000, "界" * 4_000, "? " * 2_000):
        bears_out(said[:1_200], said, said[:1_000], said[:300])
    assert time.process_time() - began < 2
