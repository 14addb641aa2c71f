"""Turns at an embedding model: no place is lost or given twice, and nobody's load keeps another one waiting."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.scripted import ScriptedEmbedder
from application.knowledge.query_turns import MOST_WAITING, QueryTurns
from application.knowledge.retrieval import RetrieveKnowledge
from domain.errors import TooManyRequests
from domain.ids import UserId
from kept_knowledge import KeptKnowledge

ADA, BOB = UserId("ada"), UserId("bob")


async def pause() -> None:
    """As long as all that can go on now needs."""
    for _ in range(5):
        await asyncio.sleep(0)


@dataclass
class Desk:
    """Remembers who came in, in order; each stays until it is let out."""

    places: int = 1
    turns: QueryTurns = field(default_factory=QueryTurns)
    came: list[str] = field(default_factory=list)
    inside: dict[str, asyncio.Event] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.embedder = ScriptedEmbedder(queries_at_once=self.places)

    def ask(self, owner: str, *, patient: bool = False) -> str:
        name = f"{owner}{len(self.tasks)}"
        self.tasks[name] = asyncio.create_task(self._stay(name, UserId(owner), patient))
        return name

    async def _stay(self, name: str, owner: UserId, patient: bool) -> None:
        async with self.turns.place(self.embedder, owner, patient=patient):
            self.came.append(name)
            assert len(self.inside) < self.places
            self.inside[name] = asyncio.Event()
            try:
                await self.inside[name].wait()
            finally:
                del self.inside[name]

    async def drained(self) -> None:
        while self.inside:
            next(iter(self.inside.values())).set()
            await pause()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def test_users_take_turns_and_a_users_own_questions_keep_their_order() -> None:
    desk = Desk()
    for owner in ("a", "a", "a", "a", "b", "b", "c"):
        desk.ask(owner)
    await pause()
    await desk.drained()
    assert desk.came == ["a0", "a1", "b4", "c6", "a2", "b5", "a3"]


async def test_who_comes_new_waits_for_one_question_of_each_other_user_at_most() -> None:
    desk = Desk()
    for _ in range(MOST_WAITING):
        desk.ask("a")
    await pause()
    for number in range(5):
        mine = desk.ask("b")
        await pause()
        for _ in range(2):
            next(iter(desk.inside.values())).set()
            await pause()
        assert mine in desk.came, number
    await desk.drained()


async def test_the_patient_come_when_nobody_else_waits() -> None:
    desk = Desk()
    for patient in (True, True, True, False, False):
        desk.ask("a" if patient else "b", patient=patient)
    await pause()
    await desk.drained()
    assert desk.came == ["a0", "b3", "b4", "a1", "a2"]


async def test_a_user_with_too_many_is_told_when_to_come_again_and_others_are_not() -> None:
    desk = Desk()
    for _ in range(1 + MOST_WAITING):
        desk.ask("ada")
    await pause()
    with pytest.raises(TooManyRequests) as refused:
        await desk.tasks[desk.ask("ada")]
    assert refused.value.code == "too_many_requests"
    assert refused.value.retry_after
    with pytest.raises(TooManyRequests):
        desk.turns.refuse_full(desk.embedder.model.name, ADA)
    desk.turns.refuse_full(desk.embedder.model.name, BOB)
    desk.turns.refuse_full("another", ADA)
    patient, other = desk.ask("ada", patient=True), desk.ask("bob")
    await pause()
    await desk.drained()
    assert {patient, other} <= set(desk.came)
    assert len(desk.came) == len(desk.tasks) - 1


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "measure", "end", "cancel", "both"]), st.integers(0, 5)), max_size=40
)


@given(steps, st.integers(1, 3))
async def test_no_place_is_lost_or_given_twice_whoever_gives_up_when(history: list[tuple[str, int]], most: int) -> None:
    desk = Desk(most)
    for what, number in history:
        open_ones = [name for name, task in desk.tasks.items() if not task.done()]
        if what in {"ask", "measure"}:
            desk.ask("abc"[number % 3], patient=what == "measure")
        if what in {"end", "both"} and desk.inside:
            list(desk.inside.values())[number % len(desk.inside)].set()
        if what in {"cancel", "both"} and open_ones:
            if what == "both":
                # Somebody's turn comes, and in the same moment they give up.
                await asyncio.sleep(0)
            desk.tasks[open_ones[number % len(open_ones)]].cancel()
        if number:
            await pause()
            waiting = [name for name, task in desk.tasks.items() if not task.done() and name not in desk.inside]
            assert len(desk.inside) == most or not waiting
    await pause()
    await desk.drained()
    for line in desk.turns.lines.values():
        assert (line.free, line.asking, line.measuring) == (most, {}, {})
    assert all(name in desk.came or task.cancelled() for name, task in desk.tasks.items())


async def asked(kept: KeptKnowledge, retrieve: RetrieveKnowledge, owner: UserId, base: str, times: int) -> Counter[str]:
    outcomes = await asyncio.gather(
        *(retrieve(owner, f"years {number}", [base]) for number in range(times)), return_exceptions=True
    )
    told: dict[str, int] = defaultdict(int)
    for one in outcomes:
        told["refused" if isinstance(one, TooManyRequests) else "ok"] += 1
        assert isinstance(one, TooManyRequests) or (not isinstance(one, BaseException) and one.lexical_only is None)
    return Counter(told)


async def test_a_flood_of_one_user_is_refused_and_never_answered_by_words_alone() -> None:
    kept = KeptKnowledge()
    kept.embedder.queries_at_once = 1
    mine, theirs = kept.base(ADA), kept.base(BOB)
    retrieve = kept.retrieval()
    flood, other = await asyncio.gather(
        asked(kept, retrieve, ADA, mine, 100), asked(kept, retrieve, BOB, theirs, MOST_WAITING)
    )
    assert flood["refused"] > 0
    assert flood["ok"] > MOST_WAITING
    assert other == {"ok": MOST_WAITING}
    assert len(kept.embedder.calls) == flood["ok"] + other["ok"]


async def test_what_is_refused_has_searched_nothing() -> None:
    kept = KeptKnowledge()
    kept.embedder.queries_at_once = 1
    kept.embedder.gate = asyncio.Event()
    base, retrieve = kept.base(ADA), kept.retrieval()
    waiting = [asyncio.create_task(retrieve(ADA, "years", [base])) for _ in range(1 + MOST_WAITING)]
    await pause()
    before = kept.asked.count("words")
    with pytest.raises(TooManyRequests):
        await retrieve(ADA, "years", [base])
    assert kept.asked.count("words") == before == len(waiting)
    kept.embedder.gate.set()
    assert all(one.lexical_only is None for one in await asyncio.gather(*waiting))
