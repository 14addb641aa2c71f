"""People who hold an account."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import Forbidden, InvalidValue
from domain.ids import ApiKeyId, FamilyId, UserId
from domain.text import block, line, search_key

NAME_MAX = 20
EMAIL_MAX = 254
PASSWORD_MAX_BYTES = 1024
URL_MAX = 2048
DESCRIPTION_MAX = 2000
KEY_NAME_MAX = 64
KEYS_MAX = 100

_EMAIL_WORD = r"[^@\s.\"(),:;<>\[\\\]]+"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_EMAIL_WORD}(\.{_EMAIL_WORD})*@{_EMAIL_WORD}(\.{_EMAIL_WORD})*")
LONGEST_KEY_LIFE = timedelta(days=36_525)

_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")
"""Letters and signs that show nothing."""
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class UserName:
    """1-20 characters after trimming and NFC; `key` is the form in which names are unique."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> "UserName":
        name = cls(line("user_name", raw, minimum=1, maximum=NAME_MAX))
        if not _BIDI_CONTROLS.isdisjoint(name.value):
            raise InvalidValue("user_name", "must not contain characters that reverse the direction of writing")
        if not name.key.strip():
            raise InvalidValue("user_name", "must contain a character that can be seen")
        return name

    @property
    def key(self) -> str:
        """Without what nobody sees (joiners, variation selectors), so that no name can pass for another by it."""
        return search_key("".join(char for char in self.value if not _is_invisible(char)))


def _is_invisible(char: str) -> bool:
    return char >= "\x7f" and (unicodedata.category(char) == "Cf" or "\ufe00" <= char <= "\ufe0f" or char in _FILLERS)


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

    @classmethod
    def new(
        cls,
        user_id: UserId,
        name: UserName,
        password_hash: str,
        now: datetime,
        *,
        role: Role = Role.USER,
        email: str | None = None,
        avatar: str | None = None,
        description: str | None = None,
    ) -> "User":
        blank = cls(user_id, name, password_hash, role, None, "", "", now, now)
        return blank.with_profile(email=email, avatar=avatar, description=description, now=now)

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

    def seen_by(self, viewer: UserId) -> "User":
        """Nobody else sees the e-mail address."""
        return self if viewer == self.user_id else replace(self, email=None)

    def with_password(self, password_hash: str) -> "User":
        return replace(self, password_hash=password_hash)


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
    if url and (not url.startswith(("http://", "https://", "/")) or url.startswith(("//", "/\\"))):
        raise InvalidValue(field, "must be empty, a path that begins with / or an http(s) address")
    return url


def parse_new_password(field: str, raw: str, *, minimum: int) -> str:
    """The form in which a password is hashed. NFC: the same keys give other code points on other systems."""
    if len(raw) < minimum:
        raise InvalidValue(field, f"must have at least {minimum} characters")
    if _password_bytes(raw) > PASSWORD_MAX_BYTES:
        raise InvalidValue(field, f"must have at most {PASSWORD_MAX_BYTES} bytes")
    password = unicodedata.normalize("NFC", block(field, raw, maximum=PASSWORD_MAX_BYTES))
    if _password_bytes(password) > PASSWORD_MAX_BYTES:
        raise InvalidValue(field, f"must have at most {PASSWORD_MAX_BYTES} bytes")
    return password


def parse_tried_password(raw: str) -> str:
    """The same form for a password that is tried. What no account can have becomes NUL, which no account has."""
    try:
        return parse_new_password("user_password", raw, minimum=0)
    except InvalidValue:
        return "\x00"


def _password_bytes(password: str) -> int:
    return len(password.encode("utf-8", "surrogatepass"))


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

    @classmethod
    def new(
        cls,
        api_key_id: ApiKeyId,
        user_id: UserId,
        name: str,
        now: datetime,
        *,
        key_hash: str,
        hint: str,
        expires_at: datetime | None = None,
    ) -> "ApiKey":
        if expires_at is not None and expires_at <= now:
            raise InvalidValue("expires_at", "must be in the future")
        if expires_at is not None and expires_at > now + LONGEST_KEY_LIFE:
            raise InvalidValue("expires_at", "must be within 100 years, or left out for a key that does not expire")
        name = line("name", name, minimum=1, maximum=KEY_NAME_MAX)
        return cls(api_key_id, user_id, name, key_hash, hint, now, expires_at)


@dataclass(frozen=True, slots=True)
class FailedLogins:
    """Failed attempts counted under one key (an account from an address, an address, an account)."""

    key: str
    failures: int
    last_at: datetime
