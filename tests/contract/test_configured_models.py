"""Models of the configuration at servers that repeat what they were sent."""

import json
from pathlib import Path

import pytest

from adapters.web.client import WebClient
from contract.chat_model_fixtures import KEY, TEXT, answering, collect_until_error, question, refusing
from domain.errors import ModelError
from entrypoints.graph.chat_models import ConfiguredModels
from entrypoints.settings.loading import load_settings, model_specs
from servers.byte_server import ByteServer, Script

PROVIDERS = ["openai", "openai_compatible", "anthropic"]
REPEATED = {
    "type": "error",
    "error": {"type": "invalid_request_error", "message": f"{KEY} is no good", "code": KEY, "param": f"key.{KEY}"},
}


async def failing(provider: str, script: Script, folder: Path) -> tuple[int, ModelError]:
    """How many words came, and how it ended."""
    async with ByteServer(script) as server:
        url = server.url if provider == "anthropic" else f"{server.url}/v1"
        model = {"provider": provider, "model": "m", "base_url": url, "api_key": KEY}
        settings = load_settings({"AGENTCHAT_MODELS": json.dumps({"mine": model})}, folder)
        [spec] = [one for one in model_specs(settings) if one.llm_id == "mine"]
        web = WebClient()
        try:
            events, error = await collect_until_error(ConfiguredModels(settings, web).open(spec), question())
            assert KEY in str(server.exchanges[0].headers)
        finally:
            await web.aclose()
    return len(events), error


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500])
async def test_a_refusal_that_repeats_the_operator_s_key_is_told_without_it(
    provider: str, status: int, tmp_path: Path
) -> None:
    _, error = await failing(provider, refusing(status, REPEATED), tmp_path)
    assert KEY not in f"{error!r} {error.message} {error.__cause__!r}"
    if status == 400:
        assert (error.code, "status 400" in error.message) == ("model_bad_request", True)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_error_in_mid_stream_that_repeats_the_operator_s_key_is_told_without_it(
    provider: str, tmp_path: Path
) -> None:
    word = TEXT["anthropic" if provider == "anthropic" else "openai"]("Hi")
    told = {**REPEATED, "error": {**REPEATED["error"], "status": 400}}  # type: ignore[dict-item]
    count, error = await failing(provider, answering(word, told), tmp_path)
    assert (count > 0, error.code) == (True, "model_bad_request")
    assert KEY not in f"{error!r} {error.message}"
