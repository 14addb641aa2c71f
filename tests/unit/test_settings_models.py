"""The models of the configuration: built in, changed, added, removed; whose key they use; which is the default."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import ModelId, UserId
from domain.models.models import Provider, key_id_of
from entrypoints.settings.loading import Secret, Settings, SettingsError, load_settings, model_specs

OPENAI = {"OPENAI_API_KEY": "sk-vendor"}


def settings_of(folder: Path, environ: Mapping[str, str] | None = None, document: str = "") -> Settings:
    (folder / "agentchat.toml").write_text(document)
    return load_settings(environ or {}, folder)


def test_without_configuration_the_default_is_offline_and_the_rest_say_what_to_set(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    specs = {spec.llm_id: spec for spec in model_specs(settings)}
    assert settings.default_model == "offline"
    assert [name for name, spec in specs.items() if spec.available] == ["offline"]
    assert specs["gpt-4"].unavailable_reason == (  # type: ignore[index]
        "Model gpt-4 has no API key: set OPENAI_API_KEY or [models.gpt-4] api_key."
    )
    assert {spec.provider for spec in specs.values()} == {Provider.OFFLINE, Provider.OPENAI, Provider.ANTHROPIC}


def test_a_model_of_the_configuration_changes_a_built_in_one_field_by_field(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, document='[models."gpt-5.5"]\nvision = false\nmodel = "mine"')
    assert not settings.models["gpt-5.5"].vision
    assert settings.models["gpt-5.5"].context_window == 400_000
    assert next(iter(model_specs(settings))).model == "mine"


@pytest.mark.parametrize("name", ["gpt-4", "GPT-4", "GPT_4", "gpt_4"])
def test_a_variable_finds_a_model_by_any_spelling_of_its_name(tmp_path: Path, name: str) -> None:
    settings = settings_of(tmp_path, {f"AGENTCHAT_MODELS__{name}__API_KEY": "sk-own"})
    assert settings.model_key("gpt-4") == Secret("sk-own")
    assert settings.default_model == "gpt-4"


def test_a_new_model_keeps_its_name_as_written(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"AGENTCHAT_MODELS__MyModel__PROVIDER": "offline"})
    assert "MyModel" in settings.models


def test_a_disabled_model_is_gone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, document="[models.gpt-4]\nenabled = false")
    assert "gpt-4" not in settings.models
    assert settings.model_key("gpt-4") is None


def test_the_vendors_variables_serve_models_that_name_no_key_or_address(tmp_path: Path) -> None:
    document = """
        [models.gpt-4]
        api_key = "sk-own"
        [models.proxied]
        provider = "openai"
        base_url = "https://proxy.example/v1"
        [models.local]
        provider = "openai_compatible"
        base_url = "http://localhost:11434/v1"
    """
    settings = settings_of(tmp_path, {**OPENAI, "OPENAI_BASE_URL": "https://eu.example/v1"}, document)
    assert settings.model_key("gpt-4") == Secret("sk-own")
    assert settings.models["gpt-4"].base_url == "https://eu.example/v1"
    assert settings.model_key("proxied") == Secret("sk-vendor")
    assert settings.models["proxied"].base_url == "https://proxy.example/v1"
    assert settings.model_key("local") is None
    assert settings.source('models."gpt-5.5".api_key') == "OPENAI_API_KEY"


def test_a_compatible_server_needs_no_key_unless_one_is_named(tmp_path: Path) -> None:
    document = '[models.a]\nprovider = "openai_compatible"\nbase_url = "http://h/v1"\n'
    assert settings_of(tmp_path, document=document).default_model == "a"
    named = settings_of(tmp_path, document=document + 'api_key_env = "A_KEY"')
    reasons = {spec.llm_id: spec.unavailable_reason for spec in model_specs(named)}
    assert reasons["a"] == "Model a has no API key: set A_KEY, which its api_key_env names."  # type: ignore[index]
    assert settings_of(tmp_path, {"A_KEY": "k"}, document + 'api_key_env = "A_KEY"').default_model == "a"


def test_the_operators_models_come_first_when_the_default_is_chosen(tmp_path: Path) -> None:
    document = '[models.mine]\nprovider = "openai"\n'
    assert settings_of(tmp_path, OPENAI, document).default_model == "mine"
    assert settings_of(tmp_path, OPENAI).default_model == "gpt-5.5"
    assert settings_of(tmp_path, {**OPENAI, "AGENTCHAT_DEFAULT_MODEL": "offline"}).default_model == "offline"


def test_prices_and_fallbacks_reach_the_domain(tmp_path: Path) -> None:
    document = '[models.gpt-4]\nfallbacks = ["offline"]\nprices = {input = 30, output = 60, currency = "EUR"}'
    spec = next(spec for spec in model_specs(settings_of(tmp_path, document=document)) if spec.llm_id == "gpt-4")
    assert spec.fallbacks == ("offline",)
    assert spec.prices is not None
    assert (spec.prices.input, spec.prices.output, spec.prices.currency) == (30, 60, "EUR")


def test_models_of_one_key_at_one_address_share_it_and_no_others_do(tmp_path: Path) -> None:
    """Its limits, and its breaker."""
    there, key = "https://models.example.org/v1", "sk-0123456789abcdef"
    told = {
        "a": (there, key),
        "b": (f"{there}/", key),
        "other key": (there, f"{key}0"),
        "elsewhere": ("https://other.example.org/v1", key),
        "none": (there, ""),
    }
    models = {
        name: {"provider": "openai_compatible", "base_url": url, **({"api_key": secret} if secret else {})}
        for name, (url, secret) in told.items()
    }
    found = model_specs(settings_of(tmp_path, {"AGENTCHAT_MODELS": json.dumps(models)}))
    shared = {spec.llm_id: spec.key_id for spec in found if spec.llm_id in told}
    assert shared[ModelId("a")] == shared[ModelId("b")]
    assert len(set(shared.values())) == len(told) - 1
    assert not any(secret in repr(spec) for spec in found for _, secret in told.values() if secret)


@given(st.tuples(st.sampled_from(Provider), st.none() | st.text(), st.text(), st.none() | st.text().map(UserId)))
def test_whose_key_it_is_counts_too(told: tuple[Provider, str | None, str, UserId | None]) -> None:
    provider, url, key, owner = told
    assert key_id_of(*told) == key_id_of(*told)
    assert key_id_of(*told) != key_id_of(provider, url, key, UserId(f"{owner}'s friend"))
    assert key_id_of(*told) != key_id_of(provider, url, f"{key}x", owner)
    assert len(key) < 8 or key not in key_id_of(*told)


def test_the_places_of_a_model_reach_the_domain(tmp_path: Path) -> None:
    specs = {s.llm_id: s for s in model_specs(settings_of(tmp_path, document="[models.gpt-4]\nmax_concurrent = 3"))}
    assert [specs[name].max_concurrent for name in map(ModelId, ("gpt-4", "offline"))] == [3, None]
    with pytest.raises(SettingsError, match="max_concurrent"):
        settings_of(tmp_path, document="[models.gpt-4]\nmax_concurrent = 0")


def test_the_databases_kind_follows_its_address(tmp_path: Path) -> None:
    embedded = settings_of(tmp_path)
    assert embedded.embedded
    assert embedded.vector.kind == "embedded"
    assert embedded.database_url.reveal().endswith("/data/agentchat.db")
    keys = '["' + "k" * 32 + '"]'
    server = settings_of(
        tmp_path,
        {"AGENTCHAT_DATABASE_URL": "postgresql://h/d", "AGENTCHAT_SECRET_KEYS": keys, "AGENTCHAT_WORKERS": "4"},
    )
    assert not server.embedded
    assert server.vector.kind == "pgvector"
