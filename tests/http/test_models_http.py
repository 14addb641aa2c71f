"""Models as a client sees them: what is there, what is missing, and never a key."""

import jsonschema
import pytest

from http_answers import Client, Headers, Register, code_of, data_of


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def test_every_model_says_whether_it_can_be_used_and_why_not(client: Client, ann: Headers) -> None:
    models = {one["llm_id"]: one for one in data_of(client.get("/api/v1/llm/all", headers=ann))}
    assert (models["offline"]["available"], models["offline"]["reason"]) == (True, None)
    assert models["gpt-4"]["available"] is False
    assert "OPENAI_API_KEY" in models["gpt-4"]["reason"]
    for one in models.values():
        assert one["id"] == one["llm_id"]
        assert "api_key" not in one
        assert one["user_id"] is None
        assert one["context_window"] > 0
        assert one["llm_type"] in {"LLM", "Embedding"}


def test_the_visible_ones_are_all_and_a_new_account_has_none_of_its_own(client: Client, ann: Headers) -> None:
    every = data_of(client.get("/api/v1/llm/all", headers=ann))
    assert data_of(client.post("/api/v1/llm/visible", headers=ann)) == every
    assert data_of(client.post("/api/v1/llm/personal", headers=ann)) == []


def test_one_model_by_its_id(client: Client, ann: Headers) -> None:
    assert data_of(client.get("/api/v1/llm/gpt-4", headers=ann))["llm_id"] == "gpt-4"
    assert code_of(client.get("/api/v1/llm/gpt-none", headers=ann), 404) == "llm_not_found"


def test_a_search_takes_its_words_literally(client: Client, ann: Headers) -> None:
    def found(words: str) -> list[str]:
        response = client.post("/api/v1/llm/search", json={"llm_name": words}, headers=ann)
        return [one["llm_id"] for one in data_of(response)]

    assert found("OFF") == ["offline"]
    assert "gpt-4" in found("gpt")
    assert found("%") == found("_") == []
    assert len(found("")) == len(data_of(client.get("/api/v1/llm/all", headers=ann)))


def test_the_schema_says_what_a_model_is_made_of(client: Client, ann: Headers) -> None:
    schema = data_of(client.get("/api/v1/llm/schema", headers=ann))
    assert schema["providers"] == ["openai", "anthropic", "openai_compatible"]
    assert schema["llm_types"] == ["LLM", "Embedding"]
    jsonschema.Draft202012Validator.check_schema(schema["fields"])
    good = {"model": "gpt-4", "provider": "openai", "api_key": "sk-1"}
    jsonschema.validate(good, schema["fields"])
    jsonschema.validate(good | {"provider": "openai_compatible", "api_key": "", "prices": None}, schema["fields"])
    for bad in ({"model": "x"}, good | {"provider": "magic"}, good | {"model": ""}, good | {"provider": "offline"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema["fields"])


def test_a_deleted_account_sees_no_models(client: Client, ann: Headers) -> None:
    data_of(client.request("DELETE", "/api/v1/user/delete", json={"user_password": "test"}, headers=ann))
    for method, path in (("GET", "all"), ("POST", "visible"), ("POST", "personal"), ("GET", "gpt-4")):
        assert code_of(client.request(method, f"/api/v1/llm/{path}", headers=ann), 401) == "account_gone"


def test_pages_of_models_miss_nothing(client: Client, ann: Headers) -> None:
    every = [one["llm_id"] for one in data_of(client.get("/api/v1/llm/all", headers=ann))]
    found, cursor = [], None
    while True:
        window = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = client.get("/api/v1/llm/all", params=window, headers=ann)
        found += [one["llm_id"] for one in data_of(answer)]
        cursor = answer.json().get("next_cursor")
        if cursor is None:
            break
    assert found == every
