"""Tools that a model was offered before its run waited: found again, by what they are and not by their names."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.ports.tool_runner import ToolFailed, ToolOutput, ToolRunner
from domain.ids import ToolId
from domain.tools.tools import JsonValue, ToolSpec

GONE: Final = "This tool is not there any more, or it reaches something else than when it was offered."


@dataclass(frozen=True, slots=True)
class Renamed:
    """A tool under another name than its own: another one had that before it, or no vendor would take it."""

    tool: ToolRunner
    spec: ToolSpec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return await self.tool.run(arguments)


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands where a tool was, and says why it can't be used."""

    spec: ToolSpec
    reason: str

    async def run(self, _arguments: Mapping[str, JsonValue], /) -> ToolOutput:
        raise ToolFailed(self.reason)


def under_offered_names(there: Iterable[ToolRunner], offered: Sequence[ToolSpec]) -> tuple[ToolRunner, ...]:
    """As they were offered: of those that only look the same now, none.

    Which others have the same name, and so which number a tool's name has, may differ by now.
    """
    known = {_identity(runner.spec): runner for runner in there}
    found = ((known.get(_identity(spec)), spec) for spec in offered)
    return tuple(
        runner if runner.spec == spec else Renamed(runner, spec) for runner, spec in found if runner is not None
    )


def missing(
    found: Iterable[ToolRunner], offered: Sequence[ToolSpec], ids: Collection[str], away: Mapping[ToolId, str]
) -> list[Missing]:
    """What stands for those of the agent's own that are not found: tools and servers of these ids."""
    there = {runner.spec.name for runner in found}
    lost = [spec for spec in offered if spec.name not in there and spec.tool_id in ids]
    return [Missing(spec, away.get(spec.tool_id, GONE)) for spec in lost]


def _identity(spec: ToolSpec) -> tuple[str, str]:
    """What a person approved: the tool, and what a call of it reaches."""
    return spec.tool_id, spec.origin or spec.name
