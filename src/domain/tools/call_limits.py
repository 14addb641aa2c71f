"""What bounds the tool calls of one run: how many, how often the same failing one, and how much their results hold."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from domain.tokens import beginning, estimate
from domain.tools.tools import ToolCall

MOST_CALLS: Final = 128
"""In all turns of a run together."""
SAME_FAILURES: Final = 2
"""A call that failed so often is not made again with the same arguments."""
REFUSED_TURNS: Final = 2
"""A model that in so many turns, one after the other, makes nothing but refused calls will not come to an answer."""
MOST_IMAGES_OF_CALL: Final = 10
MOST_IMAGES: Final = 20
"""Of all results of a run together, also where none of them can be opened. The text tells of the others."""
_ENOUGH: Final = f"{MOST_CALLS} calls were made for this answer, which is the limit: answer with what you have."
LEAST_SHARE: Final = 64
"""Tokens of each result, however little room there is."""


class CallBook:
    """The calls of a run so far. `admit` before each call, `failed` after one that failed."""

    def __init__(self, made: int = 0, failures: Mapping[str, int] | None = None, refused_turns: int = 0) -> None:
        self.made = made
        self.failures = dict(failures or {})
        self.refused_turns = refused_turns
        self._refused = 0
        self._images = 0
        self._brought: dict[str, Sequence[bytes]] = {}

    def admit(self, call: ToolCall) -> str | None:
        """None when it may be made, and is counted; else what the model is told instead."""
        refusal = self.refusal(call)
        if refusal is None:
            self.made += 1
        else:
            self._refused += 1
        return refusal

    def failed(self, call: ToolCall) -> None:
        key = digest(call)
        self.failures[key] = self.failures.get(key, 0) + 1

    def bring(self, call: ToolCall, images: Sequence[bytes]) -> None:
        """What came with a call, as far as the limits go, is there until it is taken."""
        if taken := images[: min(MOST_IMAGES_OF_CALL, MOST_IMAGES - self._images)]:
            self._images += len(taken)
            self._brought[call.call_id] = taken

    def take_images(self) -> dict[str, Sequence[bytes]]:
        """By the ids of their calls."""
        brought, self._brought = self._brought, {}
        return brought

    def gets_on(self, calls: int) -> bool:
        """After a turn of so many calls: False for a model that keeps on making nothing but refused ones."""
        self.refused_turns = self.refused_turns + 1 if self._refused >= calls else 0
        self._refused = 0
        return self.refused_turns < REFUSED_TURNS

    def turn_down(self) -> str:
        """What the model is told of a call for which there is no room beside the others of its turn."""
        self._refused += 1
        return _ENOUGH

    def in_room(self, calls: Sequence[ToolCall], beside: Sequence[ToolCall]) -> Sequence[ToolCall]:
        """The first of these that `admit` will take, together, when it has taken the others."""
        room = MOST_CALLS - self.made - sum(self.refusal(call) is None for call in beside)
        return calls[: max(0, room)]

    def refusal(self, call: ToolCall) -> str | None:
        """What `admit` would say, counting nothing."""
        if self.made >= MOST_CALLS:
            return _ENOUGH
        if self.failures.get(digest(call), 0) >= SAME_FAILURES:
            return (
                f"This call failed {SAME_FAILURES} times with the same arguments and was not made again: "
                "change the arguments, use another tool, or answer without it."
            )
        return None


def digest(call: ToolCall) -> str:
    """The same for calls that mean the same: neither spaces nor the order of names count."""
    try:
        arguments = json.dumps(json.loads(call.arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        arguments = call.arguments
    return sha256(f"{call.name}\n{arguments}".encode(errors="replace")).hexdigest()[:16]


def fitted(contents: Sequence[str], tokens: int) -> list[str]:
    """The results of a turn within so many tokens together: the longest are cut, as little as needed, and say so."""
    sizes = [estimate(content) for content in contents]
    share = max(_share(sizes, tokens), LEAST_SHARE)
    return [content if size <= share else _cut(content, share) for content, size in zip(contents, sizes, strict=True)]


def shortened_to(tokens: int, content: str) -> str:
    """The beginning of what is longer, and how much is missing. At least a few words, however little room there is."""
    return content if estimate(content) <= tokens else _cut(content, tokens)


def _share(sizes: Sequence[int], tokens: int) -> int:
    """The most that one may have, so that all together keep the limit and nobody who wants less is cut."""
    left, waiting = tokens, len(sizes)
    for size in sorted(sizes):
        if size * waiting > left:
            return max(0, left // waiting)
        left -= size
        waiting -= 1
    return max(sizes, default=0)


def _cut(content: str, tokens: int) -> str:
    kept = beginning(content, tokens - 16)
    return f"{kept}\n[cut: {len(content) - len(kept):,} more characters]"
