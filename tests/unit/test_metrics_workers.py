"""The processes of one server: whichever is asked tells the numbers of all that can tell theirs."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from application.files.file_statistics import ReadingStatistics, UploadStatistics
from application.runs.run_statistics import RunStatistics
from entrypoints.http.http_statistics import HttpStatistics
from entrypoints.metrics.families import Families, Gauge, counter
from entrypoints.metrics.numbers import ServerNumbers
from entrypoints.metrics.text import merged, packed, text_of, unpacked
from entrypoints.metrics.workers import WorkerPlace
from entrypoints.serving.server_workers import LONGEST_FOLDER, short_folder
from exposed import Exposed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


class Process:
    """One process's numbers, over plain ones of its own."""

    def __init__(self, place: WorkerPlace) -> None:
        self.http = HttpStatistics()
        self.live = 0
        gauge = Gauge("runs_live", "Live.", lambda: self.live)
        statistics = self.http, RunStatistics({"gpt"}), UploadStatistics(), ReadingStatistics()
        self.numbers = ServerNumbers.of(Families("1.2.3", *statistics, (gauge,)), place)

    async def shown(self) -> Exposed:
        return Exposed.parse((await self.numbers()).decode())


@pytest.fixture
def folder() -> object:
    """pytest's own folders have paths that are too long for a socket."""
    with TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


async def test_a_process_alone_tells_its_own_without_the_label() -> None:
    process = Process(WorkerPlace())
    process.http.answered("GET", "/a", 200, 0.01)
    shown = await process.shown()
    assert shown.value("agentchat_http_requests_total", method="GET", route="/a", status="200") == 1
    assert shown.value("agentchat_build_info", version="1.2.3") == 1
    assert shown.value("process_resident_memory_bytes") > 1_000_000
    assert not any("worker" in dict(labels) for _, labels in shown.series)


async def test_two_servers_in_one_process_know_nothing_of_each_other() -> None:
    first, second = Process(WorkerPlace()), Process(WorkerPlace())
    first.http.answered("GET", "/a", 200, 0.01)
    assert (await second.shown()).value("agentchat_http_requests_total") == 0


async def test_each_tells_the_numbers_of_all_under_the_workers_own_label(folder: Path) -> None:
    places = [WorkerPlace(number, 3, folder) for number in range(3)]
    processes = [Process(place) for place in places]
    async with AsyncExitStack() as stack:
        for number, process in enumerate(processes):
            process.live = number
            for _ in range(number + 1):
                process.http.answered("GET", "/a", 200, 0.01)
            await stack.enter_async_context(places[number].answering(process.numbers.packed))
        for process in processes:
            shown = await process.shown()
            counts = [shown.value("agentchat_http_requests_total", worker=str(number)) for number in range(3)]
            live = [shown.value("agentchat_runs_live", worker=str(number)) for number in range(3)]
            up = [shown.value("agentchat_worker_up", worker=str(number)) for number in range(3)]
            assert (counts, live, up) == ([1, 2, 3], [0, 1, 2], [1, 1, 1])
            assert shown.value("agentchat_http_response_begin_seconds_count") == 6
            assert all("worker" in dict(labels) for _, labels in shown.series)


async def test_one_that_is_gone_hangs_or_talks_nonsense_is_down_and_keeps_nobody_up(folder: Path) -> None:
    gone, hanging, talking = (WorkerPlace(number, 4, folder) for number in (1, 2, 3))
    async with gone.answering(lambda: b""):
        pass
    held = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    async with await asyncio.start_unix_server(hang, folder / "2"), talking.answering(lambda: b"\xc1 nonsense"):
        shown = await Process(WorkerPlace(0, 4, folder, patience=0.1)).shown()
        held.set()
    assert hanging.number == 2
    assert [shown.value("agentchat_worker_up", worker=str(number)) for number in range(4)] == [1, 0, 0, 0]
    assert shown.labels("agentchat_runs_live", "worker") == {"0"}


async def test_who_takes_over_a_place_is_the_one_who_is_asked(folder: Path) -> None:
    place = WorkerPlace(1, 2, folder)
    async with AsyncExitStack() as old:
        await old.enter_async_context(place.answering(lambda: b"old"))
        async with place.answering(lambda: b"new"):
            assert await WorkerPlace(0, 2, folder).neighbours() == {1: b"new"}
            await old.aclose()
            assert await WorkerPlace(0, 2, folder).neighbours() == {1: b"new"}


async def test_a_neighbour_whose_numbers_fail_is_down_for_this_time(folder: Path) -> None:
    def fail() -> bytes:
        raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    try:
        async with WorkerPlace(1, 2, folder).answering(fail):
            assert await WorkerPlace(0, 2, folder).neighbours() == {1: b""}
    finally:
        loop.set_exception_handler(None)


@given(st.dictionaries(st.tuples(TEXT, TEXT), st.integers(0, 2**40), max_size=5))
def test_labels_with_anything_in_them_arrive_as_they_are(counts: dict[tuple[str, str], int]) -> None:
    http = HttpStatistics()
    for labels, count in counts.items():
        http.requests.add(*labels, amount=count)
    family = counter("odd", "Odd\nnames.", ("one", "two"), http.requests)
    text = text_of(unpacked(packed([family]))).decode()
    shown = Exposed.parse(text)
    assert shown.kinds["agentchat_odd"] == "counter"
    for (one, two), count in counts.items():
        assert shown.value("agentchat_odd_total", one=one, two=two) == count


@pytest.mark.parametrize("sent", [b"", b"\x93", b"\x91\x94\xa1a\xa1b\xa5alien\x90", b"not ours"])
def test_what_no_process_of_this_version_sends_is_not_believed(sent: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(sent)


def test_families_of_one_name_become_one() -> None:
    def family(worker: str) -> Metric:
        made = GaugeMetricFamily("x", "X.", labels=["worker"])
        made.add_metric([worker], 1)
        return made

    [one] = merged([family("0"), family("1")])
    assert [sample.labels["worker"] for sample in one.samples] == ["0", "1"]


def test_a_long_folder_for_temporary_files_is_not_used_for_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/short")
    assert short_folder() is None
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * LONGEST_FOLDER)
    assert short_folder() == "/tmp"
