"""Tools that people bring: what they may be called, and what they prove themselves with."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.ids import ToolId, UserId
from domain.tools.header_rules import RESERVED
from domain.tools.user_tools import DOCUMENT_MAX, ApiDocument, AuthDraft, AuthType, SealedAuth, ToolDraft, UserTool

NOW = datetime(2026, 11, 3, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
OWNER = UserId("ann")
PLAIN = st.text("abXY09ß中文🙂", min_size=1, max_size=30)
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
DRAFTS = st.builds(
    ToolDraft,
    zh_name=st.none() | PLAIN,
    en_name=st.none() | PLAIN,
    description=st.none() | PLAIN,
    logo_url=st.sampled_from([None, "", "/a.png"]),
    document=st.none() | st.builds(ApiDocument, st.sampled_from(["", " \n", "{}"]), st.booleans()),
)


def make(**said: Any) -> UserTool:
    return UserTool.create(ToolId("t"), OWNER, ToolDraft(**({"en_name": "weather"} | said)), NOW)


@given(DRAFTS, DRAFTS)
def test_a_change_touches_only_what_it_names(first: ToolDraft, second: ToolDraft) -> None:
    tool = make(zh_name=first.zh_name, description=first.description, document=first.document)
    changed = tool.change(second, LATER)
    for name in ("zh_name", "en_name", "description", "logo_url"):
        said = getattr(second, name)
        assert getattr(changed, name) == (getattr(tool, name) if said is None else said)
    wanted = tool.document if second.document is None else second.document if second.document.text == "{}" else None
    assert changed.document == wanted
    assert changed.is_executable == (changed.document is not None)
    assert (changed.tool_id, changed.user_id, changed.created_at) == (tool.tool_id, OWNER, NOW)
    assert changed.updated_at == LATER


@given(PLAIN)
def test_one_name_serves_as_the_other(name: str) -> None:
    for draft in (ToolDraft(zh_name=name), ToolDraft(en_name=name)):
        tool = UserTool.create(ToolId("t"), OWNER, draft, NOW)
        assert tool.zh_name == tool.en_name == make(en_name=name).en_name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("en_name", "  "),
        ("en_name", "x" * 65),
        ("zh_name", "a\nb"),
        ("zh_name", "a\x00b"),
        ("description", "x" * 2001),
        ("logo_url", "javascript:alert(1)"),
    ],
)
def test_a_bad_field_is_named(field: str, value: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        make(**{field: value})
    assert [one.name for one in refused.value.fields] == [field]


def test_a_tool_without_any_name_is_refused() -> None:
    with pytest.raises(InvalidValue):
        UserTool.create(ToolId("t"), OWNER, ToolDraft(), NOW)


@pytest.mark.parametrize("text", ["x" * (DOCUMENT_MAX + 1), "a\x00", "\ud800"])
def test_a_document_that_no_database_keeps_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="openapi_schema"):
        make(document=ApiDocument(text))


@given(VISIBLE)
def test_a_token_is_sent_as_bearer(token: str) -> None:
    credentials = AuthDraft(AuthType.BEARER, token=f" {token}\n").credentials()
    assert credentials.headers == (("Authorization", f"Bearer {token}"),)
    assert credentials.query == ()


@given(PLAIN, st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30))
def test_name_and_password_come_out_of_basic_as_they_went_in(username: str, password: str) -> None:
    ((header, value),) = AuthDraft(AuthType.BASIC, username=username, password=password).credentials().headers
    assert header == "Authorization"
    told = base64.b64decode(value.removeprefix("Basic ")).decode().split(":", 1)
    assert told[1] == password
    assert told[0] == UserTool.create(ToolId("t"), OWNER, ToolDraft(en_name=username), NOW).en_name


@given(VISIBLE)
def test_a_key_goes_where_it_is_said(value: str) -> None:
    header = AuthDraft(AuthType.API_KEY, place="header", name="X-Key", value=value).credentials()
    query = AuthDraft(AuthType.API_KEY, place="query", name="key", value=value).credentials()
    assert (header.headers, header.query) == ((("X-Key", value),), ())
    assert (query.headers, query.query) == ((), (("key", value),))
    assert AuthDraft(AuthType.HEADER, name="X-Key", value=value).credentials() == header


NO_AUTH = [
    AuthDraft(AuthType.BEARER),
    AuthDraft(AuthType.BEARER, token=""),
    AuthDraft(AuthType.BEARER, token="s3cret s3cret"),
    AuthDraft(AuthType.BEARER, token="s3cret\r\nX-Admin: 1"),
    AuthDraft(AuthType.BEARER, token="s3cret\u4e2d"),
    AuthDraft(AuthType.BEARER, token="s3cret" * 2000),
    AuthDraft(AuthType.BASIC, username="s3cret"),
    AuthDraft(AuthType.BASIC, password="s3cret"),
    AuthDraft(AuthType.BASIC, username="s3:cret", password="s3cret"),
    AuthDraft(AuthType.BASIC, username="ann", password="s3cret\n"),
    AuthDraft(AuthType.BASIC, username="ann", password="s3cret\ud800"),
    AuthDraft(AuthType.API_KEY, name="key", value="s3cret"),
    AuthDraft(AuthType.API_KEY, place="cookie", name="key", value="s3cret"),
    AuthDraft(AuthType.API_KEY, place="query", value="s3cret"),
    AuthDraft(AuthType.API_KEY, place="query", name="key", value="s3cret\x00"),
    AuthDraft(AuthType.HEADER, name="X-Key", value="s3cret\nX-Admin: 1"),
    AuthDraft(AuthType.HEADER, name="X Key", value="s3cret"),
    AuthDraft(AuthType.HEADER, name="X-Key:", value="s3cret"),
    AuthDraft(AuthType.HEADER, name="X-Key"),
    *(
        AuthDraft(AuthType.HEADER, name=name.title(), value="s3cret")
        for name in sorted({*RESERVED, "proxy-authorization", "proxy-x"})
    ),
]


@pytest.mark.parametrize("draft", NO_AUTH)
def test_what_would_reshape_a_request_is_refused_and_the_secret_not_repeated(draft: AuthDraft) -> None:
    with pytest.raises(InvalidValue) as refused:
        draft.credentials()
    assert refused.value.fields[0].name.startswith("auth_config.")
    assert "s3cret" not in refused.value.message


def test_secrets_are_not_printed() -> None:
    draft = AuthDraft(AuthType.BASIC, "s3cret", "s3cret", "s3cret", "header", "X", "s3cret")
    tool = make().with_auth(SealedAuth(AuthType.BASIC, "s3cret"))
    assert "s3cret" not in repr([draft, draft.credentials(), tool, tool.auth])
