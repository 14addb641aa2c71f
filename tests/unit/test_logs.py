"""Logs are JSON lines, ours and the libraries', and no secret gets through."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st

from application.runs.live_runs import LiveRun, RunLimits
from application.runs.run_log import RunLog
from domain.chat.chat_events import LoopEvent, Recorded
from domain.chat.transcript import Transcript
from domain.dialogs.messages import AnswerStatus
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.runs.runs import Run, RunStatus
from entrypoints.graph.chat import _crashed
from entrypoints.http.front import Drain, Front
from entrypoints.logs import clean, configure_logging, mask
from run_keeping import keeping

SECRETS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=16, max_size=40)
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
FORMS = st.sampled_from(
    [
        "Authorization: Bearer {}",
        "bearer {}",
        "Basic {}",
        "key sk-{}",
        "sk-proj-{}",
        "ak_{}",
        "token eyJhbGciOiJIUzI1NiJ9.{}.sig",
        "postgresql://user:{}@db.example/chat",
        "https://:{}@host",
        "password={}",
        "'user_password': '{}'",
        '"api_key": "{}"',
        "refresh_token = {}",
        "x-api-key: {}",
        "[SQL: INSERT INTO users VALUES (?)]\n[parameters: ('{}', 1)]\nnext",
    ]
)
KEYS = st.sampled_from(
    ["authorization", "Authorization", "password", "user_password", "access_token", "api_key", "X-Api-Key", "secret"]
)


@given(SECRETS, FORMS, AROUND, AROUND)
def test_a_secret_in_a_text_is_masked_wherever_it_stands(secret: str, form: str, before: str, after: str) -> None:
    assume(secret not in before + after)
    assert secret not in mask(f"{before} {form.format(secret)} {after}")


@given(
    SECRETS,
    KEYS,
    st.recursive(
        st.just(None),
        lambda inner: st.one_of(
            st.tuples(st.just("list"), inner), st.tuples(st.just("dict"), inner), st.tuples(st.just("tuple"), inner)
        ),
        max_leaves=4,
    ),
)
def test_a_value_under_a_secret_key_is_masked_at_any_depth(secret: str, key: str, nest: object) -> None:
    value: object = {key: secret}
    while isinstance(nest, tuple):
        shape, nest = nest
        value = {"list": [value], "dict": {"inner": value}, "tuple": (value,)}[shape]
    assert secret not in json.dumps(clean(value))


@given(st.text(st.sampled_from("abc äß 你好 .,!?0189\n"), max_size=200))
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("key", ["input_tokens", "status", "path", "user_id", "tokens"])
def test_ordinary_keys_are_shown(key: str) -> None:
    assert clean({key: 5}) == {key: 5}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=20))
def test_any_value_can_be_logged(value: object) -> None:
    json.dumps(clean(value))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, litestar = logging.getLogger(), logging.getLogger("litestar")
    handlers, level = root.handlers[:], root.level
    # An application of another test, made with Litestar's own configuration, leaves a handler that hides its lines.
    litestar.handlers.clear()
    litestar.propagate = True
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def served_by(app: Any, request_id: str) -> None:
    """One request through the front, which gives it its id."""

    async def send(_message: object) -> None:
        return

    scope: Any = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"x-request-id", request_id.encode())]}
    await asyncio.create_task(Front(app, Drain())(scope, send, send))  # type: ignore[arg-type]


def lines(captured: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_our_lines_and_the_libraries_are_json_with_the_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(_scope: object, _receive: object, send: Any) -> None:
        structlog.get_logger("ours").info("run_ended", input_tokens=3)
        logging.getLogger("litestar").warning("odd %s", "thing", extra={"path": "/x"})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    configure_logging("info", "json")
    asyncio.run(served_by(app, "r1"))
    ours, theirs, access = lines(capsys.readouterr().err)
    assert access["request_id"] == "r1"
    assert (ours["event"], ours["level"], ours["request_id"], ours["input_tokens"]) == ("run_ended", "info", "r1", 3)
    assert (theirs["event"], theirs["logger"], theirs["request_id"], theirs["path"]) == (
        "odd thing",
        "litestar",
        "r1",
        "/x",
    )
    assert str(ours["time"]).endswith("Z")


def test_a_run_that_crashes_after_its_request_still_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    state = Run(RunId("run"), UserId("user"), DialogId("dialog"), MessageId("message"), RunStatus.QUEUED, now, now)
    runs: list[LiveRun] = []
    answered = asyncio.Event()

    async def broken() -> AsyncGenerator[LoopEvent, None]:
        await answered.wait()
        raise RuntimeError("ours")
        yield

    async def store(_transcript: Transcript, _status: AnswerStatus, _log: RunLog) -> Sequence[Recorded]:
        return ()

    async def elsewhere(_run: Run) -> float:
        return 0.0

    async def app(_scope: object, _receive: object, send: Any) -> None:
        run = LiveRun(state, broken(), keeping(store, elsewhere, _crashed), RunLimits(60, None))
        run.start()
        runs.append(run)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def scene() -> None:
        await served_by(app, "first")
        await served_by(lambda *_: asyncio.sleep(0), "second")
        answered.set()
        await runs[0].wait()

    configure_logging("info", "json")
    asyncio.run(scene())
    (crash,) = [line for line in lines(capsys.readouterr().err) if line["event"] == "run_crashed"]
    assert (crash["request_id"], crash["run_id"]) == ("first", "run")


def test_outside_of_a_request_a_line_has_no_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger("ours").info("leases_renewed")
    assert "request_id" not in lines(capsys.readouterr().err)[0]


def test_an_exceptions_text_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    error = ValueError("can't log in with Bearer abcdefghijkl at postgresql://u:hunter2@h/d")
    logging.getLogger("x").error("failed", exc_info=error)
    written = capsys.readouterr().err
    assert "ValueError" in str(lines(written)[0]["exception"])
    assert "hunter2" not in written
    assert "abcdefghijkl" not in written


def test_the_level_holds_and_libraries_are_quiet_below_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger("ours").debug("no")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("yes")
    assert [line["event"] for line in lines(capsys.readouterr().err)] == ["yes"]


def test_the_console_style_is_not_json_and_masks_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")
    structlog.get_logger("ours").warning("odd", password="hunter2")
    written = capsys.readouterr().err
    assert "odd" in written
    assert "hunter2" not in written
