"""Tools that people bring: a name, and what makes it callable, the description of an HTTP interface."""

import base64
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from domain.accounts.users import parse_url
from domain.errors import InvalidValue
from domain.ids import ToolId, UserId
from domain.text import block, line, storable
from domain.tools.credentials import Credentials
from domain.tools.header_rules import VALUE_MAX, header_name, header_value

NAME_MAX: Final = 64
DESCRIPTION_MAX: Final = 2000
DOCUMENT_MAX: Final = 1_000_000
"""Characters of one document."""
DOCUMENTS_MAX: Final = 20_000_000
"""Characters of all documents of a person."""
SHOWN_MAX: Final = 2_000_000
"""Characters of all documents in one page of a list."""
TOOLS_MAX: Final = 500
BUILT_IN_SINCE: Final = datetime(2026, 1, 1, tzinfo=UTC)


class AuthType(StrEnum):
    BEARER = "Bearer"
    BASIC = "Basic"
    API_KEY = "APIKey"
    HEADER = "Header"


@dataclass(frozen=True, slots=True)
class AuthDraft:
    """How a tool proves itself, as a person says it, unchecked. Which fields count follows from the type."""

    type: AuthType
    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    place: str | None = None
    name: str | None = None
    value: str | None = field(default=None, repr=False)

    def credentials(self) -> Credentials:
        """Raises InvalidValue that names the field, and never what was in it."""
        match self.type:
            case AuthType.BEARER:
                return _header("Authorization", f"Bearer {_token(_said('token', self.token))}")
            case AuthType.BASIC:
                pair = _pair(_said("username", self.username), _said("password", self.password))
                return _header("Authorization", f"Basic {pair}")
            case AuthType.HEADER:
                return self._named_header()
            case AuthType.API_KEY:
                return self._query() if self._is_in_query() else self._named_header()

    def _is_in_query(self) -> bool:
        if self.place not in {"header", "query"}:
            raise InvalidValue("auth_config.in", "must be header or query")
        return self.place == "query"

    def _named_header(self) -> Credentials:
        name = header_name("auth_config.name", _said("name", self.name))
        return _header(name, header_value("auth_config.value", _said("value", self.value)))

    def _query(self) -> Credentials:
        name = line("auth_config.name", _said("name", self.name), minimum=1, maximum=128)
        value = line("auth_config.value", _said("value", self.value), minimum=1, maximum=VALUE_MAX)
        return Credentials(query=((name, value),))


@dataclass(frozen=True, slots=True)
class ApiDocument:
    """An OpenAPI document as it was sent: `is_object` when it came as JSON within the request, and not as text."""

    text: str = field(repr=False)
    is_object: bool = False

    def cleaned(self) -> "ApiDocument | None":
        """None for a blank one. Whether it can be understood is asked elsewhere."""
        if not self.text.strip():
            return None
        if len(self.text) > DOCUMENT_MAX:
            raise InvalidValue("openapi_schema", f"must have at most {DOCUMENT_MAX:,} characters")
        storable("openapi_schema", self.text)
        return self


@dataclass(frozen=True, slots=True)
class ToolDraft:
    """What a person says of a tool, unchecked. None leaves a field as it is.

    A blank `document` removes it, and `no_auth` what the tool proves itself with.
    """

    zh_name: str | None = None
    en_name: str | None = None
    description: str | None = None
    logo_url: str | None = None
    document: ApiDocument | None = None
    auth: AuthDraft | None = None
    no_auth: bool = False


@dataclass(frozen=True, slots=True)
class SealedAuth:
    """Only the type can be read."""

    type: AuthType
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BuiltInTool:
    """One that every server has, as it is listed: nobody's, and nobody changes it."""

    tool_id: ToolId
    zh_name: str
    en_name: str
    description: str
    created_at: datetime = BUILT_IN_SINCE


@dataclass(frozen=True, slots=True)
class UserTool:
    """Without a document it is a name and a description, which no model is offered."""

    tool_id: ToolId
    user_id: UserId
    zh_name: str
    en_name: str
    description: str
    logo_url: str
    created_at: datetime
    updated_at: datetime
    document: ApiDocument | None = None
    auth: SealedAuth | None = None

    @classmethod
    def create(cls, tool_id: ToolId, owner: UserId, draft: ToolDraft, now: datetime) -> "UserTool":
        """One name serves as the other when that is not said."""
        zh_name = draft.zh_name and _name("zh_name", draft.zh_name)
        en_name = draft.en_name and _name("en_name", draft.en_name)
        blank = cls(tool_id, owner, "", "", "", "", now, now)
        named = replace(draft, zh_name=zh_name or en_name or "", en_name=en_name or zh_name or "")
        return blank.change(named, now)

    @property
    def is_executable(self) -> bool:
        return self.document is not None

    @property
    def size(self) -> int:
        return 0 if self.document is None else len(self.document.text)

    def change(self, draft: ToolDraft, now: datetime) -> "UserTool":
        """All but what it proves itself with, which must be sealed. Raises InvalidValue."""
        description = draft.description
        return replace(
            self,
            zh_name=self.zh_name if draft.zh_name is None else _name("zh_name", draft.zh_name),
            en_name=self.en_name if draft.en_name is None else _name("en_name", draft.en_name),
            description=self.description
            if description is None
            else block("description", description, maximum=DESCRIPTION_MAX),
            logo_url=self.logo_url if draft.logo_url is None else parse_url("logo_url", draft.logo_url),
            document=self.document if draft.document is None else draft.document.cleaned(),
            updated_at=now,
        )

    def with_auth(self, auth: SealedAuth | None) -> "UserTool":
        return replace(self, auth=auth)


def _name(field: str, raw: str) -> str:
    return line(field, raw, minimum=1, maximum=NAME_MAX)


def _header(name: str, value: str) -> Credentials:
    return Credentials(headers=((name, value),))


def _said(field: str, value: str | None) -> str:
    if not value:
        raise InvalidValue(f"auth_config.{field}", "is required for this auth_type")
    return value


def _token(raw: str) -> str:
    token = header_value("auth_config.token", raw)
    if " " in token:
        raise InvalidValue("auth_config.token", "must be the token alone, without spaces and without the word Bearer")
    return token


def _pair(username: str, password: str) -> str:
    """RFC 7617: in UTF-8, and the name ends at the first colon."""
    username = line("auth_config.username", username, minimum=1, maximum=1024)
    if ":" in username:
        raise InvalidValue("auth_config.username", "must not contain a colon")
    # As it was said: a password may begin with a space.
    if len(password) > VALUE_MAX or any(unicodedata.category(char) in {"Cc", "Cs"} for char in password):
        raise InvalidValue("auth_config.password", f"must be 1 to {VALUE_MAX} characters, none of them a control")
    return base64.b64encode(f"{username}:{password}".encode()).decode()
