"""Clients of models that people brought: shared while they are used, and closed when they are not."""

import asyncio
from contextlib import ExitStack

from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.web.client import WebClient
from adapters.web.kept_clients import KeptClients
from patience import PATIENCE


class Counted(WebClient):
    """Counts its closings, and opens nothing."""

    def __init__(self, made: "list[Counted]") -> None:
        super().__init__()
        self.closings = 0
        made.append(self)

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closings += 1


def pool(*, idle_seconds: float = 60, most: int = 200) -> tuple[KeptClients[WebClient], list[Counted]]:
    made: list[Counted] = []
    return KeptClients(lambda: Counted(made), idle_seconds=idle_seconds, most=most), made


async def turned() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def opened(client: WebClient) -> WebClient:
    return client


async def test_one_key_has_one_client_and_another_key_another() -> None:
    kept, made = pool()
    with kept.lease("a", opened) as first, kept.lease("a", opened) as second, kept.lease("b", opened) as other:
        assert first is second is not other
    with kept.lease("a", opened) as again:
        assert again is first
    await kept.aclose()
    assert [one.closings for one in made] == [1, 1]


async def test_what_is_forgotten_is_closed_by_its_last_user_and_the_next_gets_a_new_one() -> None:
    kept, made = pool()
    with kept.lease("a", opened) as old:
        await kept.forget("a")
        with kept.lease("a", opened) as new:
            assert new is not old
        await turned()
        assert made[0].closings == 0
    await turned()
    assert [one.closings for one in made] == [1, 0]
    await kept.forget("a")
    await kept.forget("a")
    await kept.forget("never there")
    assert [one.closings for one in made] == [1, 1]
    assert len(kept) == 0


async def test_what_nobody_uses_for_a_while_is_closed() -> None:
    kept, made = pool(idle_seconds=0.01)
    with kept.lease("a", opened):
        pass
    with kept.lease("a", opened):
        await asyncio.sleep(0.03)
        assert made[0].closings == 0
    async with asyncio.timeout(PATIENCE):
        while len(kept):
            await asyncio.sleep(0.005)
    await turned()
    assert [one.closings for one in made] == [1]


KEYS = st.sampled_from("abcdef")


@example([("hold", "a"), ("hold", "b"), ("use", "c"), ("free", "a")])
@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["use", "hold", "free", "forget"]), KEYS), max_size=25))
async def test_there_are_no_more_than_may_be_unless_they_are_used_and_none_in_use_is_closed(
    steps: list[tuple[str, str]],
) -> None:
    kept, made = pool(most=2)
    held: list[tuple[ExitStack, WebClient]] = []
    for what, key in steps:
        if what == "forget":
            await kept.forget(key)
        elif what == "free" and held:
            held.pop(0)[0].close()
        else:
            stack = ExitStack()
            client = stack.enter_context(kept.lease(key, opened))
            if what == "hold":
                held.append((stack, client))
            else:
                stack.close()
        await turned()
        in_use = {id(client) for _, client in held}
        assert len(kept) <= max(2, len(in_use))
        assert all(one.closings == 0 for one in made if id(one) in in_use)
    for stack, _ in held:
        stack.close()
    await kept.aclose()
    assert [one.closings for one in made] == [1] * len(made)
