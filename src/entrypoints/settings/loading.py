"""The settings in force: `agentchat.toml`, then `AGENTCHAT_*`, then options. All mistakes are reported at once."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, structs

from entrypoints.settings.knowledge import KNOWLEDGE_RULES, with_keys
from entrypoints.settings.models import (
    BUILT_IN,
    OFFLINE,
    first_available,
    in_order,
    model_specs,
    with_vendor_values,
    written_name,
)
from entrypoints.settings.reading import Reader, bare, mapping, members_of, table, wanted
from entrypoints.settings.rules import RULES
from entrypoints.settings.schema import ModelSettings, Settings
from entrypoints.settings.secrets import Secret, SecretUrl
from entrypoints.settings.sources import (
    Given,
    Mistake,
    Place,
    SettingPath,
    SettingsError,
    dotted,
    from_file,
    from_variables,
)
from entrypoints.settings.web import WEB_RULES, with_search_key

__all__ = [
    "Mistake",
    "ModelSettings",
    "Secret",
    "SecretUrl",
    "Settings",
    "SettingsError",
    "load_settings",
    "model_specs",
]


def load_settings(
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    options: Mapping[str, object] | None = None,
) -> Settings:
    """Read once, at start. `options` are those of the command line and win. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    reader = Reader()
    for given in read_sources(reader, environ, folder or Path()):
        reader.read(given)
    for name, value in (options or {}).items():
        reader.read(Given((name,), value, f"--{name}"))
    settings = derived(build(reader), environ)
    mistakes = [*reader.mistakes, *broken_rules(settings, reader)]
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def read_sources(reader: Reader, environ: Mapping[str, str], folder: Path) -> list[Given]:
    in_file, file_mistakes = from_file(environ, folder)
    in_variables, variable_mistakes = from_variables(environ)
    reader.mistakes += [*file_mistakes, *variable_mistakes]
    tables = [given.value for given in in_file if given.path == ("models",)]
    known = [*BUILT_IN, *(name for written in tables if isinstance(written, dict) for name in written)]
    return [*in_file, *(structs_path(given, known) for given in in_variables)]


def structs_path(given: Given, known: list[str]) -> Given:
    return Given(written_name(given.path, known), given.value, given.place, given.text)


def build(reader: Reader) -> Settings:
    """The settings as given, over the defaults. What has a mistake counts as not given, so that the rest is checked."""
    values: dict[str, object] = {}
    for name, kind in members_of(Settings).items():
        if mapping(kind) is not None:
            values[name] = build_models(reader)
        elif table(kind) is not None:
            values[name] = build_table(reader, (name,), bare(kind), {})
        elif (name,) in reader.values:
            values[name] = reader.values[(name,)].value
    sources = {dotted(path): given.place for path, given in reader.values.items()}
    return Settings(**values, sources=sources)  # type: ignore[arg-type]


def build_models(reader: Reader) -> dict[str, ModelSettings]:
    models: dict[str, ModelSettings] = {}
    for name in in_order(reader.values.values()):
        known = structs.asdict(BUILT_IN[name]) if name in BUILT_IN else {}
        model = build_table(reader, ("models", name), ModelSettings, known)
        models[name] = model if isinstance(model, ModelSettings) else BUILT_IN[OFFLINE]
    return models


def build_table(reader: Reader, path: SettingPath, kind: type[Struct], known: Mapping[str, object]) -> Struct | None:
    """None, and the mistakes noted, when a member that has no default is missing."""
    values = dict(known)
    for name, member in members_of(kind).items():
        here = (*path, name)
        if table(member) is not None:
            if any(given[: len(here)] == here for given in reader.values):
                values[name] = build_table(reader, here, bare(member), {})
        elif here in reader.values:
            values[name] = reader.values[here].value
    lacking = [name for name in structs_required(kind) if name not in values]
    for name in lacking:
        if (*path, name) not in reader.broken:
            place = next(given.place for key, given in reader.values.items() if key[: len(path)] == path)
            message = f"is missing; it must be {wanted(members_of(kind)[name])}"
            reader.mistakes.append(Mistake(place, dotted((*path, name)), message))
    return None if lacking else kind(**values)


def structs_required(kind: type[Struct]) -> list[str]:
    return [field.name for field in structs.fields(kind) if field.required]


def derived(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """With the values that follow from others: the vendors' keys, the default model, the database and what fits it."""
    models, found = with_vendor_values(settings.models, environ)
    data_dir = settings.data_dir.absolute()
    database_url = settings.database_url or SecretUrl(f"sqlite:///{data_dir / 'agentchat.db'}")
    whole = structs.replace(
        settings,
        models=models,
        data_dir=data_dir,
        database_url=database_url,
        default_model=settings.default_model or first_available(models),
        sources={**settings.sources, **found},
    )
    kind = whole.vector.kind or ("embedded" if whole.embedded else "pgvector")
    in_server = whole.embedded if whole.ingestion.in_server is None else whole.ingestion.in_server
    fitted = structs.replace(
        whole,
        vector=structs.replace(whole.vector, kind=kind),
        ingestion=structs.replace(whole.ingestion, in_server=in_server),
    )
    return with_search_key(with_keys(fitted, environ), environ)


def broken_rules(settings: Settings, reader: Reader) -> list[Mistake]:
    """A rule on a setting that is broken already would only repeat what was said."""
    return [
        Mistake(responsible(path, reader), dotted(path), message)
        for rule in (*RULES, *KNOWLEDGE_RULES, *WEB_RULES)
        for path, message in rule(settings)
        if path not in reader.broken
    ]


def responsible(path: SettingPath, reader: Reader) -> Place:
    """Who gave the setting, or for one that is missing, its neighbour in the same table."""
    if path in reader.values:
        return reader.values[path].place
    table_path = path[:-1]
    neighbours = (given.place for key, given in reader.values.items() if table_path and key[:-1] == table_path)
    return next(neighbours, "default")
