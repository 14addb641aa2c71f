"""What the doctor asks of the models' providers, and what it makes of their answers."""

from pathlib import Path

import pytest

from entrypoints.doctor import providers
from entrypoints.doctor.findings import Status
from entrypoints.settings.loading import Settings, load_settings


def settings(**environ: str) -> Settings:
    return load_settings({f"AGENTCHAT_{name}": value for name, value in environ.items()}, Path("/nowhere"))


def provider(name: str = "openai", key: str = "k" * 20) -> providers.Account:
    return providers.Account(name, "https://models.example/v1", key, "OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("kind", "status", "expected", "words"),
    [
        ("openai", 200, Status.OK, "takes the key"),
        ("openai", 401, Status.FAIL, "the key is refused"),
        ("anthropic", 403, Status.FAIL, "the key is refused"),
        ("openai_compatible", 404, Status.WARN, "can't be tried without a question"),
        ("openai", 404, Status.FAIL, "no such API"),
        ("openai", 301, Status.FAIL, "no such API"),
        ("openai", 429, Status.WARN, "quota"),
        ("anthropic", 529, Status.WARN, "fails"),
    ],
)
def test_a_providers_status_says_whether_the_key_is_taken(kind: str, status: int, expected: Status, words: str) -> None:
    account = provider(kind)
    verdict = providers.verdict(account, ["one", "two"], status, 0.1)
    assert verdict.status is expected
    assert verdict.message.startswith("one, two: models.example")
    assert words in verdict.message
    assert account.key not in verdict.message + verdict.mend


def test_models_of_one_key_and_address_are_asked_about_once() -> None:
    given = settings(
        MODELS__a__PROVIDER="openai_compatible",
        MODELS__a__BASE_URL="http://one/v1",
        MODELS__b__PROVIDER="openai_compatible",
        MODELS__b__BASE_URL="http://one/v1/",
        MODELS__c__PROVIDER="openai_compatible",
        MODELS__c__BASE_URL="http://two/v1",
    )
    grouped = {account.base_url: names for account, names in providers.accounts_of(given).items()}
    assert grouped["http://one/v1"] == ["a", "b"]
    assert grouped["http://two/v1"] == ["c"]
    assert "offline" not in [name for names in grouped.values() for name in names]


def test_a_key_that_is_missing_fails_for_the_default_model_only() -> None:
    assert providers.keyless(["gpt-4"], "OPENAI_API_KEY", default="offline").status is Status.WARN
    found = providers.keyless(["gpt-4"], "OPENAI_API_KEY", default="gpt-4")
    assert found.status is Status.FAIL
    assert "OPENAI_API_KEY" in found.mend
    assert "[models.gpt-4]" in found.mend
