"""`agentchat config`: what is in force and where it came from, without a secret."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from entrypoints.settings.schema import Settings
from entrypoints.settings.secrets import Secret
from entrypoints.settings.sources import SettingPath, dotted

Row = tuple[str, object, str]


def rows(settings: Settings) -> Iterator[Row]:
    """Name, value and source of every setting; secrets are dots."""
    for path, value in leaves(settings, ()):
        name = dotted(path)
        yield name, plain(value), settings.source(name)


def leaves(value: object, path: SettingPath) -> Iterator[tuple[SettingPath, object]]:
    if isinstance(value, Struct):
        for field in structs.fields(value):
            if field.name != "sources":
                yield from leaves(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    else:
        yield path, value


def plain(value: object) -> object:
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Secret | Path) else value


def as_table(settings: Settings) -> str:
    lines = [(name, text(value), source) for name, value, source in rows(settings) if value is not None]
    lines.insert(0, ("setting", "value", "from"))
    first, second = (max(len(line[column]) for line in lines) for column in (0, 1))
    second = min(second, 60)
    return "\n".join(f"{name:<{first}}  {value:<{second}}  {source}" for name, value, source in lines)


def text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def as_json(settings: Settings) -> str:
    shown = {name: {"value": value, "from": source} for name, value, source in rows(settings)}
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
