"""Values of a document with the place where they stand, so that every complaint names it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from domain.errors import InvalidValue
from domain.tools.tools import JsonValue

FIELD: Final = "openapi_schema"
_LONGEST_PLACE: Final = 200
_LONGEST_CHAIN: Final = 20
_LONGEST_REFERENCE: Final = 1_000


def wrong(place: str, what: str) -> InvalidValue:
    place = place.removeprefix(".")
    shown = place if len(place) <= _LONGEST_PLACE else f"{place[:_LONGEST_PLACE]}…"
    return InvalidValue(FIELD, f"{shown}: {what}" if shown else what)


@dataclass(frozen=True, slots=True)
class Node:
    """`root` is the document: references are looked up in it."""

    value: JsonValue
    place: str
    root: Mapping[str, JsonValue]

    @property
    def mapping(self) -> Mapping[str, JsonValue]:
        if not isinstance(self.value, dict):
            raise self.wrong("must be an object")
        return self.value

    @property
    def reference(self) -> str | None:
        found = self.value.get("$ref") if isinstance(self.value, dict) else None
        if found is not None and not isinstance(found, str):
            raise wrong(f"{self.place}.$ref", "must be text")
        return found

    def wrong(self, what: str) -> InvalidValue:
        return wrong(self.place, what)

    def child(self, name: str) -> "Node | None":
        """None where there is none, or null."""
        value = self.mapping.get(name)
        return None if value is None else Node(value, f"{self.place}.{name}", self.root)

    def children(self) -> Iterator[tuple[str, "Node"]]:
        for name, value in self.mapping.items():
            yield name, Node(value, f"{self.place}.{name}", self.root)

    def items(self, name: str) -> list["Node"]:
        """Of the list of that name; none where there is no list."""
        found = self.child(name)
        if found is None:
            return []
        if not isinstance(found.value, list):
            raise found.wrong("must be a list")
        return [Node(value, f"{found.place}[{at}]", self.root) for at, value in enumerate(found.value)]

    def text(self, name: str, otherwise: str = "") -> str:
        value = self.mapping.get(name)
        if value is None:
            return otherwise
        if not isinstance(value, str):
            raise wrong(f"{self.place}.{name}", "must be text")
        return value

    def flag(self, name: str, otherwise: bool = False) -> bool:
        value = self.mapping.get(name)
        if value is None:
            return otherwise
        if not isinstance(value, bool):
            raise wrong(f"{self.place}.{name}", "must be true or false")
        return value

    def followed(self) -> "Node":
        """What it refers to in the end; itself if it does not."""
        node = self
        for _ in range(_LONGEST_CHAIN):
            if node.reference is None:
                return node
            node = node.target()
        raise self.wrong("$ref leads to itself, or through too many others")

    def target(self) -> "Node":
        """What its `$ref` names."""
        reference = self.reference or ""
        if len(reference) > _LONGEST_REFERENCE or not (reference == "#" or reference.startswith("#/")):
            raise wrong(f"{self.place}.$ref", "only references within the document are followed: #/components/…")
        value: JsonValue = dict(self.root) if reference == "#" else self.root  # type: ignore[assignment]
        names = [unquote(one).replace("~1", "/").replace("~0", "~") for one in reference[1:].split("/")[1:]]
        for name in names:
            value = _within(value, name)
            if value is _MISSING:
                raise wrong(f"{self.place}.$ref", f"there is no {reference[:_LONGEST_PLACE]} in the document")
        return Node(value, ".".join(names), self.root)


_MISSING: Final[JsonValue] = {"missing": None}


def _within(value: JsonValue, name: str) -> JsonValue:
    if isinstance(value, dict):
        return value.get(name, _MISSING)
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 7 and int(name) < len(value):
        return value[int(name)]
    return _MISSING
