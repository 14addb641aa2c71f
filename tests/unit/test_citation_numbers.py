"""The same text has one number in an answer, however much of it was shown."""

from dataclasses import replace

from application.chat.knowledge_search import ShownPassages
from domain.ids import KnowledgeFileId, KnowledgeId
from domain.knowledge.retrieval import Passage


def passage(start: int, end: int, file: str = "f") -> Passage:
    content = "x" * (end - start)
    return Passage(content, 0.5, KnowledgeId("k"), KnowledgeFileId(file), "a.txt", None, start, end)


def test_a_passage_within_a_shown_one_is_that_one() -> None:
    shown = ShownPassages()
    shown.keep(shown.numbered([passage(10, 50)]))
    found = [passage(10, 50), passage(20, 30), passage(9, 50), passage(10, 51), passage(20, 30, "other")]
    numbered = shown.numbered(found)
    assert [number for number, _ in numbered] == [1, 1, 2, 3, 4]
    assert [one.index for one in shown.keep(numbered)] == [2, 3, 4]


def test_a_passage_that_was_cut_is_still_itself() -> None:
    shown = ShownPassages()
    [(number, whole)] = shown.numbered([passage(10, 50)])
    shown.keep([(number, replace(whole, content="x" * 5, end=15))])
    assert [number for number, _ in shown.numbered([passage(10, 50), passage(50, 60)])] == [1, 2]
