"""What a live run asks of its process, where the test is about runs that never wait for a person."""

from application.runs.live_runs import Elsewhere, OnCrash, RunKeeping, Store
from application.runs.run_log import RunLog
from application.runs.run_readers import Followed
from domain.runs.pauses import RunPause
from domain.runs.runs import Run


def keeping(store: Store, elsewhere: Elsewhere, on_crash: OnCrash) -> RunKeeping:
    return RunKeeping(store, _never_parked, elsewhere, _stays_here, on_crash)


async def _never_parked(_pause: RunPause, _log: RunLog) -> bool:
    raise AssertionError("this run was not to wait")


def _stays_here(_run: Run) -> Followed:
    raise AssertionError("this run was not to go on elsewhere")
