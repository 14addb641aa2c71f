"""What is allowed and yet worth a word at the start."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from entrypoints.settings_schema import Settings

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


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
