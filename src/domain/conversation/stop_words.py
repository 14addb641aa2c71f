"""Where a text ends that is to end before certain words: found while it comes, however it is cut into pieces."""

from collections.abc import Sequence


class StopSearch:
    """The first of the words that is complete ends the text; what may be the beginning of one is held back."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [word for word in words if word]
        self._held = ""
        self.found = False

    def take(self, text: str) -> str:
        """What can be shown now. Nothing comes after a word that was found."""
        if self.found:
            return ""
        whole, self._held = self._held + text, ""
        ends = [(at + len(word), at) for word in self._words if (at := whole.find(word)) >= 0]
        if ends:
            self.found = True
            return whole[: min(ends)[1]]
        kept = max((_begun(whole, word) for word in self._words), default=0)
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]

    def rest(self) -> str:
        """What was held back, and turned out to be no beginning: nothing more comes, or something else."""
        held, self._held = self._held, ""
        return held


def _begun(text: str, word: str) -> int:
    """How much of the word stands at the text's end."""
    return next((size for size in range(min(len(word) - 1, len(text)), 0, -1) if text.endswith(word[:size])), 0)
