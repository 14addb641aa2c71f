"""What bounds the calls of a run: their number, the same failing one, and the room that their results take."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.conversation.conversation import (
    IMAGE_TOKENS,
    AssistantTurn,
    Image,
    ModelRequest,
    ToolImage,
    ToolTurn,
    UserTurn,
    tokens_of,
    without_tool_images,
)
from domain.dialogs.history import relieved, shortened
from domain.tokens import estimate
from domain.tools.call_limits import (
    LEAST_SHARE,
    MOST_CALLS,
    MOST_IMAGES,
    MOST_IMAGES_OF_CALL,
    REFUSED_TURNS,
    SAME_FAILURES,
    CallBook,
    digest,
    fitted,
)
from domain.tools.tools import ToolCall, ToolResult
from unit.conversation_strategies import arguments, names, requests

calls = st.builds(ToolCall, st.text(max_size=3), names, arguments)
LONG = st.builds(lambda piece, times: piece * times, st.text(min_size=1, max_size=9), st.integers(0, 400))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=300))
def test_at_most_so_many_calls_are_made_and_no_failing_one_more_than_twice(made: list[tuple[str, bool]]) -> None:
    book, admitted, failures = CallBook(), 0, dict.fromkeys("abc", 0)
    for name, fails in made:
        one = ToolCall("id", name, "{}")
        if book.admit(one) is None:
            assert failures[name] < SAME_FAILURES
            admitted += 1
            if fails:
                book.failed(one)
                failures[name] += 1
    assert admitted == book.made <= MOST_CALLS
    expected, count = 0, dict.fromkeys("abc", 0)
    for name, fails in made:
        if expected < MOST_CALLS and count[name] < SAME_FAILURES:
            expected += 1
            count[name] += fails
    assert admitted == expected


@given(st.lists(st.lists(st.integers(0, 15), max_size=3), max_size=6))
def test_the_first_images_of_each_call_and_of_a_run_are_taken_once(turns: list[list[int]]) -> None:
    book, left = CallBook(), MOST_IMAGES
    for turn in turns:
        expected = {}
        for at, count in enumerate(turn):
            images = [b"%d" % number for number in range(count)]
            book.bring(ToolCall(f"c{at}", "draw", "{}"), images)
            if taken := images[: min(MOST_IMAGES_OF_CALL, left)]:
                expected[f"c{at}"] = taken
                left -= len(taken)
        assert book.take_images() == expected
        assert book.take_images() == {}
    assert left >= 0


@given(calls, calls)
def test_calls_are_the_same_that_mean_the_same(one: ToolCall, other: ToolCall) -> None:
    spread = ToolCall("x", one.name, json.dumps(dict(reversed(json.loads(one.arguments).items())), indent=3))
    assert digest(spread) == digest(one)
    same = one.name == other.name and json.loads(one.arguments) == json.loads(other.arguments)
    written = json.dumps(json.loads(one.arguments), sort_keys=True) == json.dumps(
        json.loads(other.arguments), sort_keys=True
    )
    assert (digest(one) == digest(other)) == (same and written)


@given(st.text(max_size=50))
def test_broken_arguments_have_a_digest_too(broken: str) -> None:
    assert digest(ToolCall("x", "f", broken)) == digest(ToolCall("y", "f", broken))


@given(st.lists(st.sampled_from(["made", "refused", "both"]), max_size=12))
def test_a_model_that_makes_nothing_but_refused_calls_is_given_up(turns: list[str]) -> None:
    book, fails = CallBook(), ToolCall("x", "f", "{}")
    for _ in range(SAME_FAILURES):
        book.failed(fails)
    in_a_row = 0
    for turn in turns:
        tried = {"made": [ToolCall("y", "g", "{}")], "refused": [fails], "both": [fails, ToolCall("y", "g", "{}")]}
        for one in tried[turn]:
            book.admit(one)
        in_a_row = in_a_row + 1 if turn == "refused" else 0
        assert book.gets_on(len(tried[turn])) == (in_a_row < REFUSED_TURNS)


@given(st.lists(LONG, max_size=6), st.integers(0, 2000))
def test_results_keep_their_room_and_short_ones_are_left_alone(contents: list[str], tokens: int) -> None:
    kept = fitted(contents, tokens)
    assert len(kept) == len(contents)
    allowed = max(tokens, LEAST_SHARE * len(contents))
    assert sum(map(estimate, kept)) <= allowed
    share = tokens // max(1, len(contents))
    for before, after in zip(contents, kept, strict=True):
        if estimate(before) <= max(share, LEAST_SHARE):
            assert after == before
        if after != before:
            assert "more characters]" in after
            assert before.startswith(after[: after.rindex("\n[cut: ")])
    if sum(map(estimate, contents)) <= tokens:
        assert kept == contents


@given(requests(), st.integers(-5, 500))
def test_room_is_made_by_whole_exchanges_and_never_by_the_newest_question(request: ModelRequest, tokens: int) -> None:
    kept = relieved(request.turns, tokens)
    left = request.turns[len(request.turns) - len(kept) :]
    newest = max(at for at, turn in enumerate(left) if isinstance(turn, UserTurn))
    assert without_tool_images(kept[newest:]) == without_tool_images(left[newest:])
    # Images go with all that was done before the question, and no sooner than the exchanges.
    assert kept[newest:] == left[newest:] or newest == 0
    assert all(
        turn in (whole, shortened(whole), *without_tool_images([whole])) for turn, whole in zip(kept, left, strict=True)
    )
    assert isinstance(kept[0], UserTurn)
    questions = [turn for turn in request.turns if isinstance(turn, UserTurn)]
    assert questions[-1] in kept
    freed = sum(map(tokens_of, request.turns)) - sum(map(tokens_of, kept))
    assert freed >= tokens or kept == without_tool_images(left[newest:])
    if tokens <= 0:
        assert kept == request.turns


def test_results_of_earlier_questions_are_shortened_before_an_exchange_goes() -> None:
    call, result = ToolCall("1", "fetch", "{}"), ToolResult("1", "fetch", "word " * 1000)
    earlier = (UserTurn("a?"), AssistantTurn("", (call,)), ToolTurn((result,)), AssistantTurn("A."))
    now = (UserTurn("b?"), AssistantTurn("", (call,)), ToolTurn((result,)))
    kept = relieved((*earlier, *now), 500)
    assert kept == (*map(shortened, earlier), *now)
    assert relieved((*earlier, *now), 5000) == now


def test_images_of_results_give_way_oldest_first_and_as_few_as_needed() -> None:
    call, result = ToolCall("1", "look", "{}"), ToolResult("1", "look", "a picture")
    looked = ToolTurn((result,), (ToolImage("1", 1, Image("image/png", b"p")),))
    turns = (UserTurn("a?"), AssistantTurn("", (call,)), looked, AssistantTurn("", (call,)), looked)
    bare = replace(looked, images=())
    assert relieved(turns, 1) == (*turns[:2], bare, *turns[3:])
    assert relieved(turns, IMAGE_TOKENS + 1) == (*turns[:2], bare, turns[3], bare)


@given(
    st.integers(0, MOST_CALLS),
    st.lists(st.sampled_from(["new", "failed"]), max_size=6),
    st.lists(st.sampled_from(["new", "failed"]), max_size=6),
)
def test_what_is_in_room_beside_others_is_admitted_after_them_and_nothing_more_would_be(
    made: int, beside: list[str], wanted: list[str]
) -> None:
    book = CallBook(made)
    for _ in range(SAME_FAILURES):
        book.failed(ToolCall("x", "failed", "{}"))
    others = [ToolCall(f"o{at}", name, "{}") for at, name in enumerate(beside)]
    asked = [one for at, name in enumerate(wanted) if book.refusal(one := ToolCall(f"w{at}", name, "{}")) is None]
    room = book.in_room(asked, others)
    assert room == asked[: len(room)]
    for one in others:
        book.admit(one)
    assert [book.admit(one) is None for one in asked] == [True] * len(room) + [False] * (len(asked) - len(room))
