"""The JobTable port against a model of what may be taken next, on either database."""

import sqlite3
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.jobs import PostgresJobs
from application.ports.job_queue import Job, JobKind
from application.ports.job_table import JobTable, TakenJob
from job_desk import JobDesk, job

SUBJECTS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), SUBJECTS, st.integers(0, 2)),
        st.tuples(st.just("take"), st.integers(1, 3), st.none()),
        st.tuples(st.just("finish"), st.integers(0, 5), st.none()),
        st.tuples(st.just("release"), st.integers(0, 5), st.none()),
        st.tuples(st.just("again"), st.integers(0, 5), st.integers(0, 2)),
        st.tuples(st.just("later"), st.integers(0, 5), st.integers(0, 2)),
    ),
    max_size=25,
)


@dataclass
class Waiting:
    subject: str
    rank: int
    late: bool = False


@dataclass
class Model:
    """What waits, oldest first, and what is held. A place is kept by what is released."""

    places: list[Waiting] = field(default_factory=list)
    held: dict[str, Waiting] = field(default_factory=dict)

    def waits(self, subject: str) -> Waiting | None:
        return next((one for one in self.places if one.subject == subject and self.held.get(subject) is not one), None)

    def put(self, subject: str, rank: int, *, late: bool = False) -> None:
        if found := self.waits(subject):
            found.rank = min(found.rank, rank)
            found.late = found.late or late
        else:
            self.places.append(Waiting(subject, rank, late))

    def take(self, most: int) -> list[str]:
        free = [one for one in self.places if one.subject not in self.held and not one.late]
        turn = sorted(free, key=lambda one: one.rank)[:most]
        self.held |= {one.subject: one for one in turn}
        return [one.subject for one in turn]

    def end(self, subject: str, *, keep: bool = False) -> None:
        waits = self.waits(subject)
        one = self.held.pop(subject)
        if not keep or waits:
            self.places = [other for other in self.places if other is not one]


async def play(table: JobTable, steps: list[tuple[str, object, object]]) -> None:
    model, held = Model(), list[TakenJob]()
    for action, what, rank in steps:
        if action == "put":
            assert isinstance(what, str)
            assert isinstance(rank, int)
            await table.put(job(what, rank=rank))
            model.put(what, rank)
        elif action == "take":
            assert isinstance(what, int)
            taken = await table.take(what)
            assert [one.job.subject for one in taken] == model.take(what)
            assert [one.job.rank for one in taken] == [model.held[one.job.subject].rank for one in taken]
            held += taken
        elif held:
            assert isinstance(what, int)
            await settle(table, model, held.pop(what % len(held)), action, rank)
        assert await table.waiting() == len(model.places)
        await check_backlog(table, model)
    for one in held:
        await table.release(one)
        model.end(one.job.subject, keep=True)
    assert [one.job.subject for one in await table.take(9)] == model.take(9)


async def check_backlog(table: JobTable, model: Model) -> None:
    free = [one for one in model.places if model.held.get(one.subject) is not one]
    found = await table.backlog()
    assert dict(found.waiting) == ({JobKind.INGEST: len(free)} if free else {})
    assert found.oldest_seconds < 3600
    assert (found.oldest_seconds > 0) == any(not one.late for one in free)
    assert found.workers == 0


async def settle(table: JobTable, model: Model, one: TakenJob, action: str, rank: object) -> None:
    subject = one.job.subject
    if action == "finish":
        await table.finish(one)
        model.end(subject)
    elif action == "release":
        await table.release(one)
        model.end(subject, keep=True)
    else:
        assert isinstance(rank, int)
        late = action == "later"
        again = Job(JobKind.INGEST, subject, rank=rank, delay=timedelta(hours=late))
        await table.put_back(one, again, 2)
        model.end(subject)
        model.put(subject, rank, late=late)
    # Said twice, it is done once.
    await table.finish(one)


@settings(max_examples=60)
@given(steps=STEPS)
async def test_the_embedded_queue_does_as_its_model(sqlite_url: str, steps: list[tuple[str, object, object]]) -> None:
    desk = JobDesk(sqlite_url)
    table = desk.table()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as sql:
        sql.execute("DELETE FROM jobs")
    sql.close()
    await play(table, steps)
    await desk.aclose()


@settings(max_examples=40)
@given(steps=STEPS)
async def test_the_queue_on_postgres_does_as_its_model(
    postgres_url: str, steps: list[tuple[str, object, object]]
) -> None:
    # One example may follow a slow one: no lease runs out within it.
    table = PostgresJobs(lambda: asyncpg.connect(postgres_url), lease_seconds=60)
    sql = await asyncpg.connect(postgres_url)
    await table.prepare()
    await sql.execute("DELETE FROM agentchat_jobs.pgqueuer")
    await play(table, steps)
    await sql.close()
    await table.aclose()
