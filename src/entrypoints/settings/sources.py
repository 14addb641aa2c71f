"""Where values come from: a TOML file, variables, options. Each value keeps its place, for messages and `config`."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

PREFIX: Final = "AGENTCHAT_"
CONFIG_VARIABLE: Final = "AGENTCHAT_CONFIG"
DEFAULT_FILE: Final = "agentchat.toml"

SettingPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A key in the file; its line is looked for only when somebody asks."""

    name: str
    document: str = field(repr=False)
    path: SettingPath

    def __str__(self) -> str:
        line = key_lines(self.document).get(self.path)
        return f"{self.name}:{line}" if line else self.name


Place = FilePlace | str


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, where it was said, and what would be right."""

    place: Place
    setting: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.setting}: {self.message}" if self.setting else f"{self.place}: {self.message}"


class SettingsError(Exception):
    """The configuration can't be used; every mistake of it, in the order of the sources."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(frozen=True, slots=True)
class Given:
    """A value as somebody wrote it. `text`: it came as text, so numbers and lists are still to be read from it."""

    path: SettingPath
    value: object = field(repr=False)
    place: Place
    text: bool = False


def dotted(path: SettingPath) -> str:
    """The setting's name in TOML: `models."gpt-4.1".api_key`."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part, re.ASCII) else json.dumps(part) for part in path)


def from_file(environ: Mapping[str, str], folder: Path) -> tuple[list[Given], list[Mistake]]:
    """The file's top-level entries. A missing file is fine, unless the variable names it."""
    named = environ.get(CONFIG_VARIABLE)
    path = folder / (named or DEFAULT_FILE)
    name = named or DEFAULT_FILE
    try:
        document = path.read_bytes().decode()
        tree = tomllib.loads(document)
    except FileNotFoundError:
        missing = Mistake(CONFIG_VARIABLE, "", f"there is no file {named}; create it or unset the variable")
        return [], [missing] if named else []
    except OSError as error:
        return [], [Mistake(name, "", f"can't be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return [], [Mistake(name, "", f"must be UTF-8 text; byte {error.start} is not")]
    except tomllib.TOMLDecodeError as error:
        return [], [malformed(name, error)]
    except RecursionError:
        return [], [Mistake(name, "", "is nested too deeply")]
    return [Given((key,), value, FilePlace(name, document, (key,))) for key, value in tree.items()], []


def malformed(name: str, error: tomllib.TOMLDecodeError) -> Mistake:
    """The parser's message carries the line as text, and never more of the document than a character."""
    text = str(error)
    found = re.search(r" \(at line (\d+), column (\d+)\)$", text)
    if not found:
        return Mistake(name, "", f"is not TOML: {text}")
    return Mistake(f"{name}:{found[1]}", "", f"is not TOML: {text[: found.start()]}, column {found[2]}")


def from_variables(environ: Mapping[str, str]) -> tuple[list[Given], list[Mistake]]:
    """AGENTCHAT_A__B is the setting a.b. An empty variable counts as unset."""
    given: list[Given] = []
    mistakes: list[Mistake] = []
    seen: dict[SettingPath, str] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or not value:
            continue
        path = variable_path(name)
        if path in seen:
            mistakes.append(Mistake(name, dotted(path), f"is also set by {seen[path]}; unset one of them"))
            continue
        seen[path] = name
        given.append(Given(path, value, name, text=True))
    return given, mistakes


def variable_path(name: str) -> SettingPath:
    """Lower case, but for the name of a model, which is kept as it is written."""
    parts = name.removeprefix(PREFIX).split("__")
    return tuple(
        part if index == 1 and parts[0].lower() == "models" else part.lower() for index, part in enumerate(parts)
    )


@lru_cache(maxsize=4)
def key_lines(document: str) -> Mapping[SettingPath, int]:
    """The line on which each key begins, found by parsing ever longer beginnings: exact, whatever the layout."""
    lines = document.split("\n")
    found: dict[SettingPath, int] = {}
    first = 0
    for end in range(1, len(lines) + 1):
        try:
            tree = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        while first < end - 1 and (not lines[first].strip() or lines[first].lstrip().startswith("#")):
            first += 1
        for path in paths(tree):
            found.setdefault(path, first + 1)
        first = end
    return found


def paths(tree: object, prefix: SettingPath = ()) -> list[SettingPath]:
    if not isinstance(tree, dict):
        return []
    return [path for key, value in tree.items() for path in [(*prefix, key), *paths(value, (*prefix, key))]]
