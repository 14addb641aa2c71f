"""People who hold an account."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from domain.errors import Forbidden, InvalidValue
from domain.ids import ApiKeyId, FamilyId, UserId
from domain.text import block, line, search_key

NAME_MAX = 20
EMAIL_MAX = 254
PASSWORD_MAX_BYTES = 1024
URL_MAX = 2048
DESCRIPTION_MAX = 2000

_EMAIL = re.compile(r"[^@\s\"(),:;<>\[\\\]]{1,64}@[^@\s.]+(\.[^@\s.]+)*", re.ASCII)


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class UserName:
    """1-20 characters after trimming and NFC; `key` is the form in which names are unique."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> "UserName":
        return cls(line("user_name", raw, minimum=1, maximum=NAME_MAX))

    @property
    def key(self) -> str:
        return search_key(self.value)


@dataclass(frozen=True, slots=True)
class User:
    user_id: UserId
    name: UserName
    password_hash: str
    role: Role
    email: str | None
    avatar: str
    description: str
    created_at: datetime
    updated_at: datetime

    def may_edit(self, other: UserId) -> None:
        if other != self.user_id and self.role is not Role.ADMIN:
            raise Forbidden("not_your_profile", "Only the user and an admin may change a profile.")

    def with_profile(self, *, email: str | None, avatar: str | None, description: str | None, now: datetime) -> "User":
        """The profile with the given fields changed; None leaves a field as it is, an e-mail of "" removes it."""
        return replace(
            self,
            email=self.email if email is None else parse_email(email),
            avatar=self.avatar if avatar is None else parse_url("user_avatar", avatar),
            description=self.description
            if description is None
            else block("user_description", description, maximum=DESCRIPTION_MAX),
            updated_at=now,
        )


def parse_email(raw: str | None) -> str | None:
    """None and "" mean none; everything else must be well formed."""
    if raw is None or not raw.strip():
        return None
    email = line("user_email", unicodedata.normalize("NFC", raw), maximum=EMAIL_MAX)
    if not _EMAIL.fullmatch(email):
        raise InvalidValue("user_email", "must be an e-mail address such as name@example.org, or empty")
    return email


def parse_url(field: str, raw: str) -> str:
    """A link for clients to load: empty, a path of this server, or http(s). Never fetched by the server."""
    url = line(field, raw, maximum=URL_MAX)
    if url and not url.startswith(("http://", "https://", "/")):
        raise InvalidValue(field, "must be empty, a path that begins with / or an http(s) address")
    return url


def check_new_password(field: str, password: str, *, minimum: int) -> None:
    if len(password) < minimum:
        raise InvalidValue(field, f"must have at least {minimum} characters")
    if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_MAX_BYTES:
        raise InvalidValue(field, f"must have at most {PASSWORD_MAX_BYTES} bytes")
    block(field, password, maximum=PASSWORD_MAX_BYTES)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One link of a family: a login and every token that was refreshed from it. Only the hash is kept."""

    token_hash: str
    family_id: FamilyId
    user_id: UserId
    expires_at: datetime
    spent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for programs. Only the hash is kept; `hint` is its last four characters."""

    api_key_id: ApiKeyId
    user_id: UserId
    name: str
    key_hash: str
    hint: str
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FailedLogins:
    """Failed attempts counted under one key (an account from an address, an address, an account)."""

    key: str
    failures: int
    last_at: datetime
