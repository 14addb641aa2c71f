"""What an agent is made of, and who may change it how."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.models.models import ModelCatalogue
from domain.agents.agents import DEFAULT_AGENT, MAX_LINKS, NAME_MAX, PROMPT_MAX, Agent, AgentDraft
from domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from domain.ids import AgentId, ModelId, ToolId, UserId
from domain.models.models import ModelKind, ModelSpec, Provider

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
OWNER = UserId("owner")

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=20)
IDS = st.lists(NAMES, max_size=5)
DRAFTS = st.builds(
    AgentDraft,
    name=NAMES,
    description=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=50),
    logo_url=st.sampled_from([None, "", "/icons/1.svg", "https://example.org/a.png"]),
    system_prompt=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=50),
    llm_id=st.sampled_from([None, ModelId(""), ModelId("gpt-4")]),
    tool_ids=st.none() | IDS.map(tuple),
    enable_memory=st.sampled_from([None, True, False]),
)
LINKS_OF = st.lists(st.sampled_from("abcd"), unique=True).map(tuple)


def make(**given: object) -> Agent:
    return Agent.create(AgentId("a"), OWNER, AgentDraft(**({"name": "Ann"} | given)), NOW)  # type: ignore[arg-type]


def catalogue() -> ModelCatalogue:
    specs = [
        ModelSpec(ModelId("offline"), Provider.OFFLINE, "offline"),
        ModelSpec(ModelId("gpt-4"), Provider.OPENAI, "gpt-4", unavailable_reason="Set OPENAI_API_KEY."),
        ModelSpec(ModelId("embed"), Provider.OPENAI, "e", kind=ModelKind.EMBEDDING),
    ]
    return ModelCatalogue.of(specs, ModelId("offline"))


@given(DRAFTS, DRAFTS)
def test_a_change_touches_only_what_it_names(first: AgentDraft, second: AgentDraft) -> None:
    agent = Agent.create(AgentId("a"), OWNER, first, NOW)
    changed = agent.change(second, LATER)
    cleaned = second.cleaned()
    for field in fields(AgentDraft):
        wanted = getattr(cleaned, field.name)
        after = getattr(changed, field.name)
        assert after == (
            getattr(agent, field.name) if wanted is None else wanted or (None if field.name == "llm_id" else wanted)
        )
    assert (changed.agent_id, changed.user_id, changed.created_at) == (agent.agent_id, OWNER, NOW)
    assert (changed.version, changed.updated_at) == (agent.version + 1, LATER)


@given(LINKS_OF, LINKS_OF, st.data())
def test_what_waits_for_a_person_is_always_among_what_the_agent_calls(
    tools: tuple[ToolId, ...], servers: tuple[str, ...], data: st.DataObject
) -> None:
    agent = make(tool_ids=tools, mcp_ids=servers)
    changes = st.none() | LINKS_OF
    for _ in range(3):
        draft = AgentDraft(tool_ids=data.draw(changes), mcp_ids=data.draw(changes), require_approval=data.draw(changes))
        calls = {*(agent.tool_ids if draft.tool_ids is None else draft.tool_ids)}
        calls |= {*(agent.mcp_ids if draft.mcp_ids is None else draft.mcp_ids)}
        if draft.require_approval is not None and not calls.issuperset(draft.require_approval):
            with pytest.raises(InvalidValue, match="require_approval"):
                agent.change(draft, LATER)
            continue
        waiting = agent.require_approval if draft.require_approval is None else draft.require_approval
        agent = agent.change(draft, LATER)
        assert agent.require_approval == tuple(one for one in waiting if one in calls)


def test_a_new_agent_is_at_version_one() -> None:
    agent = make()
    assert (agent.version, agent.is_custom, agent.llm_id, agent.enable_memory) == (1, True, None, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " \n"),
        ("name", "x" * (NAME_MAX + 1)),
        ("name", "a\x00"),
        ("system_prompt", "x" * (PROMPT_MAX + 1)),
        ("system_prompt", "\x00"),
        ("description", "\ud800"),
        ("logo_url", "javascript:alert(1)"),
        ("logo_url", "data:image/png;base64,AA"),
        ("llm_id", "x" * 129),
        ("tool_ids", tuple(str(one) for one in range(MAX_LINKS + 1))),
        ("tool_ids", ("",)),
        ("mcp_ids", ("a\nb",)),
    ],
)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidValue) as refused:
        make(**{field: value})
    assert [one.name for one in refused.value.fields] == [field]


def test_an_agent_needs_a_name() -> None:
    with pytest.raises(InvalidValue, match="name: is required"):
        Agent.create(AgentId("a"), OWNER, AgentDraft(), NOW)


def test_links_lose_their_doubles_and_keep_their_order() -> None:
    assert make(tool_ids=("b", "a", "b")).tool_ids == ("b", "a")


def test_a_stale_version_is_a_conflict() -> None:
    agent = make().change(AgentDraft(name="Bea"), NOW, expected_version=1)
    with pytest.raises(Conflict) as refused:
        agent.change(AgentDraft(name="Cat"), NOW, expected_version=1)
    assert refused.value.code == "agent_version_stale"
    assert agent.change(AgentDraft(name="Cat"), NOW, expected_version=2).version == 3


def test_nobody_changes_a_built_in_agent() -> None:
    built_in = replace(make(), agent_id=DEFAULT_AGENT, user_id=None)
    with pytest.raises(Forbidden):
        built_in.change(AgentDraft(name="mine"), NOW)
    with pytest.raises(Forbidden):
        built_in.refuse_if_built_in()


def test_names_are_compared_without_case() -> None:
    assert make(name="Straße").name_key == make(name="STRASSE").name_key


def test_an_agent_may_point_at_models_without_a_key() -> None:
    assert catalogue().answering(ModelId("gpt-4")).unavailable_reason == "Set OPENAI_API_KEY."


def test_the_catalogue_knows_its_models() -> None:
    models = catalogue()
    assert models.default().llm_id == "offline"
    assert models.has(ModelId("gpt-4"))
    assert not models.has(ModelId("gpt-9"))
    for nobody in ("gpt-9", "embed"):
        with pytest.raises(NotFound) as refused:
            models.answering(ModelId(nobody))
        assert refused.value.code == "llm_not_found"


def test_a_catalogue_needs_its_default_and_no_doubles() -> None:
    spec = ModelSpec(ModelId("one"), Provider.OFFLINE, "one")
    with pytest.raises(NotFound):
        ModelCatalogue.of([spec], ModelId("two"))
    with pytest.raises(ValueError, match="same name"):
        ModelCatalogue.of([spec, spec], ModelId("one"))
