"""Do the models' providers take our keys? Asked by the cheapest call that needs one; no question is put."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import httpx2

from adapters.anthropic.endpoint import ANTHROPIC_URL
from adapters.openai.endpoint import OPENAI_URL
from adapters.web.client import WebClient
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, warn
from entrypoints.doctor.remote import reason
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import ModelSettings, Settings
from entrypoints.settings.models import OFFLINE, VENDOR_KEYS, missing

NAME: Final = "models"
SECONDS: Final = 6.0
COMPATIBLE: Final = "openai_compatible"
ANTHROPIC: Final = "anthropic"
NO_SUCH_CALL: Final = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Account:
    """At a provider: what models share that need only one question."""

    provider: str
    base_url: str
    key: str
    variable: str
    """Where a key would be looked for."""

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    def request(self) -> tuple[str, dict[str, str]]:
        if self.provider == ANTHROPIC:
            return f"{self.base_url}/v1/models", {"x-api-key": self.key, "anthropic-version": "2023-06-01"}
        return f"{self.base_url}/models", {"authorization": f"Bearer {self.key or 'none'}"}


async def keys_taken(subject: Subject) -> Sequence[Finding]:
    accounts = accounts_of(subject.settings)
    asked = [examined(subject, account, names) for account, names in accounts.items()]
    return await asyncio.gather(*asked) or [ok(NAME, "only the offline model, which needs no key")]


def accounts_of(settings: Settings) -> Mapping[Account, Sequence[str]]:
    """The models' names by account, in the order of the configuration."""
    found: dict[Account, list[str]] = {}
    for name, model in settings.models.items():
        if model.provider != OFFLINE:
            found.setdefault(account_of(model), []).append(name)
    return found


def account_of(model: ModelSettings) -> Account:
    own = model.base_url or (ANTHROPIC_URL if model.provider == ANTHROPIC else OPENAI_URL)
    variable = model.api_key_env or VENDOR_KEYS.get(model.provider, "")
    key = model.api_key.reveal() if model.api_key else ""
    return Account(model.provider, own.rstrip("/"), key, variable)


async def examined(subject: Subject, account: Account, names: Sequence[str]) -> Finding:
    settings = subject.settings
    if any(missing(name, settings.models[name]) for name in names):
        return keyless(names, account.variable, default=settings.default_model)
    begun = perf_counter()
    try:
        async with asyncio.timeout(SECONDS):
            status = await asked(subject.web, account, settings.connect_timeout_seconds)
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        mend = "correct base_url, or let this machine reach the host (firewall, HTTPS_PROXY)"
        return fail(NAME, f"{listed(names)}: {account.host} can't be reached: {reason(error.__cause__ or error)}", mend)
    except ValueError:
        return fail(
            NAME, f"{listed(names)}: the key can't be sent: it holds characters that no key has", key_mend(account)
        )
    return verdict(account, names, status, perf_counter() - begun)


async def asked(web: WebClient, account: Account, connect_seconds: float) -> int:
    address, headers = account.request()
    timeout = httpx2.Timeout(SECONDS, connect=min(connect_seconds, SECONDS))
    return (await web().get(address, headers=headers, timeout=timeout)).status_code


def keyless(names: Sequence[str], variable: str, *, default: str) -> Finding:
    tell = fail if default in names else warn
    return tell(
        NAME,
        f"{listed(names)}: no API key{', and ' + default + ' is the default model' if default in names else ''}",
        f"set {variable} or api_key under {tables(names)}, or hide what you don't use with enabled = false",
    )


def verdict(account: Account, names: Sequence[str], status: int, seconds: float) -> Finding:
    said = f"{listed(names)}: {account.host}"
    if 200 <= status < 300:
        taken = "takes the key" if account.key else "answers, without a key"
        return ok(NAME, f"{said} {taken} ({milliseconds(seconds)})")
    if status in (401, 403):
        return fail(NAME, f"{said}: the key is refused (status {status})", key_mend(account))
    if status in NO_SUCH_CALL and account.provider == COMPATIBLE:
        mend = "ask it something; if that fails, correct base_url, which mostly ends in /v1"
        return warn(NAME, f"{said} answers, but can't be tried without a question (status {status})", mend)
    if status in NO_SUCH_CALL or 300 <= status < 400:
        return fail(NAME, f"{said} has no such API (status {status})", "correct base_url")
    if status == 429:
        return warn(
            NAME, f"{said}: too many requests, or the quota is used up (status 429)", "look at the account there"
        )
    return warn(NAME, f"{said} fails (status {status})", "wait, or look at the provider's status page")


def key_mend(account: Account) -> str:
    place = f"{account.variable}, or api_key under its [models.NAME]," if account.variable else "api_key of the model"
    return f"put a valid key into {place} and restart the server"


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def tables(names: Sequence[str]) -> str:
    return f"[models.{names[0]}]" if len(names) == 1 else "each [models.NAME]"
