"""Rules that hold between settings. Each yields (setting, what is wrong and what would be right)."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from entrypoints.settings.schema import ModelSettings, Settings
from entrypoints.settings.sources import SettingPath

MIN_SECRET: Final = 32
MIN_THINKING: Final = 1024
LONGEST_S3_LINK: Final = 7 * 24 * 3600
BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
DATABASES: Final = ("postgresql", "postgres", "postgresql+asyncpg", "sqlite")

Problems = Iterator[tuple[SettingPath, str]]


def database(settings: Settings) -> Problems:
    """The address may hold a password: no message repeats it."""
    try:
        address = urlsplit(settings.database_url.reveal())
        known = address.scheme in DATABASES and (address.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        yield ("database_url",), "must begin with postgresql:// or sqlite:/// and be a well-formed address"
        return
    if settings.embedded and settings.workers > 1:
        yield (
            ("workers",),
            "must be 1 on SQLite, which lets one process write at a time; set database_url to a postgresql:// address",
        )
    if settings.embedded and settings.vector.kind == "pgvector":
        yield ("vector", "kind"), "pgvector needs a postgresql:// database_url; use embedded"
    if not settings.embedded and not settings.secret_keys:
        yield (
            ("database_url",),
            "an external database needs secret_keys, so that all processes agree and outlive the machine: "
            f"a list, each {MIN_SECRET} characters or more, the first signs",
        )


def secrets(settings: Settings) -> Problems:
    for number, key in enumerate(settings.secret_keys, 1):
        if len(key) < MIN_SECRET:
            yield ("secret_keys",), f"key {number} has {len(key)} characters; a key has {MIN_SECRET} or more"
    if len(set(settings.secret_keys)) < len(settings.secret_keys):
        yield ("secret_keys",), "has the same key twice; each stands once"


def origins(settings: Settings) -> Problems:
    if "*" in settings.cors_origins and len(settings.cors_origins) > 1:
        yield ("cors_origins",), "* means every origin and stands alone; remove it or the others"
    for origin in settings.cors_origins:
        if origin != "*" and (problem := bad_address(origin, path=False)):
            yield ("cors_origins",), f"{origin} {problem}"
    if settings.public_url and (problem := bad_address(settings.public_url)):
        yield ("public_url",), problem


def networks(settings: Settings) -> Problems:
    for path, values in (
        (("trusted_proxies",), settings.trusted_proxies),
        (("metrics_networks",), settings.metrics_networks),
        (("network", "allow_private"), settings.network.allow_private),
    ):
        for value in values:
            try:
                ipaddress.ip_network(value)
            except ValueError:
                yield path, f"{value} is not a network; write it as 10.0.0.0/8 or 127.0.0.1"


def models(settings: Settings) -> Problems:
    for name, model in settings.models.items():
        if model.provider == "openai_compatible" and model.base_url is None:
            yield ("models", name, "base_url"), "must be set for openai_compatible, such as http://localhost:11434/v1"
        if model.base_url and (problem := bad_address(model.base_url)):
            yield ("models", name, "base_url"), problem
        if model.max_output_tokens and model.max_output_tokens >= model.context_window:
            yield ("models", name, "max_output_tokens"), f"must be below the context_window, {model.context_window}"
        if problem := bad_thinking(model):
            yield ("models", name, "thinking_tokens"), problem
        for other in model.fallbacks:
            if other == name:
                yield ("models", name, "fallbacks"), "must not name the model itself"
            elif other not in settings.models:
                yield ("models", name, "fallbacks"), unknown_model(settings, other)
    if settings.default_model not in settings.models:
        yield ("default_model",), unknown_model(settings, settings.default_model)


def bad_thinking(model: ModelSettings) -> str | None:
    if model.thinking_tokens is None:
        return None
    if model.provider != "anthropic":
        return "is for models of anthropic only"
    if model.thinking_tokens < MIN_THINKING:
        return f"must be {MIN_THINKING} or more"
    if model.thinking_tokens + (model.max_output_tokens or 0) >= model.context_window:
        return f"must be, with max_output_tokens, below the context_window, {model.context_window}"
    return None


def unknown_model(settings: Settings, name: str) -> str:
    close = get_close_matches(name, settings.models, n=1)
    return f"{name} is not a model; " + (
        f"did you mean {close[0]}?" if close else f"there are {', '.join(settings.models) or 'none'}"
    )


def storage(settings: Settings) -> Problems:
    chosen = settings.storage
    if chosen.kind != "minio":
        return
    for name in ("endpoint", "access_key", "secret_key"):
        if getattr(chosen, name) is None:
            yield ("storage", name), "must be set for minio"
    for name in ("endpoint", "public_endpoint"):
        if (value := getattr(chosen, name)) and (problem := bad_endpoint(value)):
            yield ("storage", name), problem
    if not BUCKET.fullmatch(chosen.bucket):
        yield ("storage", "bucket"), "must be 3 to 63 lower-case letters, digits, dots and hyphens"
    if settings.url_lifetime_seconds > LONGEST_S3_LINK:
        message = f"must be {LONGEST_S3_LINK} (seven days) or less for minio: S3 signs no address for longer"
        yield ("url_lifetime_seconds",), message


def bad_endpoint(value: str) -> str | None:
    """Host and port, with or without http:// before: what `secure` says counts without."""
    address = value if "://" in value else f"https://{value}"
    if " " in address or bad_address(address, path=False):
        return "must be a host and port such as s3.example.org:9000, or an address such as https://s3.example.org"
    return None


def documents(settings: Settings) -> Problems:
    if settings.documents.ocr == "rapidocr" and find_spec("rapidocr") is None:
        yield ("documents", "ocr"), "needs an extra that is not installed: `make ocr`, or pip install 'agentchat[ocr]'"


def bad_address(value: str, *, path: bool = True) -> str | None:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        return "must be an address such as https://chat.example.org"
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    if parts.query or parts.fragment or (not path and parts.path):
        return "must end after the path" if path else "must end after the host and port"
    return None


RULES: Final[tuple[Callable[[Settings], Problems], ...]] = (
    database, secrets, origins, networks, models, storage, documents,
)  # fmt: skip
