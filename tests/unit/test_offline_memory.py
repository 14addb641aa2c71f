"""The offline model learns by rule: the same from the same, with the user's words, and nothing from questions."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.offline import OfflineChatModel
from adapters.offline.remembering import learnt_by_rule, told_of_user
from application.chat.attachments import Attached
from application.chat.prompts import compose
from asked_files import said
from domain.agents.agents import Agent, AgentDraft
from domain.conversation.conversation import ModelRequest, TextDelta, UserTurn
from domain.dialogs.past import Past, Summary
from domain.ids import AgentId, KnowledgeFileId, KnowledgeId, MemoryId, MessageId, ModelId, UserId
from domain.knowledge.retrieval import Passage
from domain.memory.memories import Again, Note
from domain.memory.memory_lessons import Asked, Said, learnt_from, lesson_request
from domain.models.models import ModelSpec, Provider
from stored import NOW


def lesson(*texts: str, notes: tuple[str, ...] = ()) -> Asked:
    told = [Said(MessageId(str(number)), text) for number, text in enumerate(texts)]
    made = lesson_request("m", told, [(MemoryId(text), text) for text in notes], 12_000)
    assert made is not None
    return made


def learnt(*texts: str, notes: tuple[str, ...] = ()) -> set[str]:
    asked = lesson(*texts, notes=notes)
    answer = learnt_by_rule(asked.request)
    assert answer is not None
    return {one.text for one in learnt_from(answer, asked) if isinstance(one, Note)}


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("Hi, my name is Ada Lovelace.", "The user's name is Ada Lovelace."),
        ("please call me Ada!", "The user's name is Ada."),
        ("I live in St. Petersburg, you know", "The user lives in St. Petersburg."),
        ("I\u2019ve moved to Bath", "The user lives in Bath."),
        ("I really like green tea and dogs", "The user likes green tea."),
        ("I don't like coffee because it is bitter", "The user does not like coffee."),
        ("I work as a nurse.", "The user works as a nurse."),
        ("I'm 33 years old", "The user is 33 years old."),
        ("I am allergic to nuts.", "The user is allergic to nuts."),
        ("From now on answer me in German", "The user wants answers in German."),
        ("我叫小明，你好", "用户的名字叫小明。"),
        ("我喜欢喝茶，但我不喜欢咖啡。", "用户喜欢喝茶。"),
        ("我住在北京", "用户住在北京。"),
        ("我对花生过敏", "用户对花生过敏。"),
    ],
)
def test_what_people_say_of_themselves_is_learnt(text: str, memory: str) -> None:
    assert memory in learnt(text)
    repeated = lesson(text, notes=(memory,))
    answer = learnt_by_rule(repeated.request)
    assert answer is not None
    assert Again(MemoryId(memory), MessageId("0")) in learnt_from(answer, repeated)


@pytest.mark.parametrize(
    "text",
    [
        "What is my name?",
        "Do I like tea?",
        "我叫什么？",
        "我住在哪里",
        "He said that you like tea.",
        "I like it.",
        "12*34",
        "",
    ],
)
def test_questions_and_what_is_said_of_others_teach_nothing(text: str) -> None:
    assert learnt(text) == set()


def test_the_last_word_counts_and_takes_the_place_of_what_was_known() -> None:
    assert learnt("I live in Rome.", "I moved to Bath.") == {"The user lives in Bath."}
    asked = lesson("I moved to Bath. I no longer like tea.", notes=("The user lives in Rome.", "The user likes tea."))
    answer = learnt_by_rule(asked.request)
    assert answer is not None
    assert [one.instead for one in learnt_from(answer, asked) if isinstance(one, Note)] == [
        ("The user lives in Rome.",),
        ("The user likes tea.",),
    ]


WORDS = st.lists(
    st.sampled_from(
        ["I", "like", "live in", "my name is", "我", "喜欢", "叫", "tea", ".", "?", "，", "\n", "'", '"', "not"]
    )
    | st.text(max_size=8)
).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS.filter(str.strip), max_size=3))
def test_its_answer_can_always_be_read_and_is_the_same_again(texts: list[str], notes: list[str]) -> None:
    asked = lesson(*texts, notes=tuple(notes))
    answer = learnt_by_rule(asked.request)
    assert answer is not None
    assert answer == learnt_by_rule(asked.request)
    operations = json.loads(answer)["operations"]
    assert len(operations) <= 20
    learnt_from(answer, asked)


def test_hostile_text_costs_no_time() -> None:
    began = time.process_time()
    for text in ("I like " * 1_000, "i live in" + " " * 4_000, "我喜欢" * 1_500, "my name is " + "a" * 4_000):
        learnt(text)
    assert time.process_time() - began < 2


def test_other_requests_are_none_of_its_business() -> None:
    assert learnt_by_rule(ModelRequest("m", "", (UserTurn("My name is Ada."),))) is None


async def test_it_says_what_is_remembered_behind_a_summary_and_passages_too() -> None:
    agent = Agent.create(AgentId("a"), UserId("u"), AgentDraft(name="Ada", enable_memory=True), NOW)
    spec = ModelSpec(ModelId("m"), Provider.OFFLINE, "m", context_window=8_000)
    found = [Passage("Bees make honey.", 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, 16)]
    past = Past((), 2, Summary("They spoke of bees.", 2))
    memories = ["The user likes tea.", "The user's name is Ada."]
    prompt = compose(spec, agent, past, "What is my name?", (), Attached(), Attached(), found, memories)
    assert said(prompt.request).index("</knowledge>") < said(prompt.request).index("<memories>")
    events = [one async for one in OfflineChatModel(delay_seconds=0).stream(prompt.request)]
    text = "".join(one.text for one in events if isinstance(one, TextDelta))
    assert text.endswith("\n\nThe user's name is Ada.")


def test_a_question_about_oneself_asks_for_its_own_memories() -> None:
    memories = ["The user's name is Ada.", "The user lives in Rome.", "用户喜欢喝茶。"]
    assert told_of_user("Who am I?", memories) == memories[:1]
    assert told_of_user("Where do I live?", memories) == memories[1:2]
    assert told_of_user("我喜欢什么？", memories) == memories[2:]
    assert told_of_user("What do you know about me?", memories) == memories
    assert told_of_user("What is a bee?", memories) == []
