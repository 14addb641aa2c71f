"""Values that must not be shown: they print as dots, whatever prints them."""

from typing import Final, NoReturn
from urllib.parse import urlsplit, urlunsplit

DOTS: Final = "••••"


class Secret:
    """A text that only `reveal` gives away: not str, repr, format, comparison by order or an encoder."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def __str__(self) -> str:
        return DOTS

    def __repr__(self) -> str:
        return DOTS

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __len__(self) -> int:
        return len(self.__text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__text == other.__text

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied: reveal it where it is used")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self


class SecretUrl(Secret):
    """An address that prints without its password and its query."""

    __slots__ = ()

    def __str__(self) -> str:
        return mask_url(self.reveal())

    def __repr__(self) -> str:
        return str(self)


def mask_url(url: str) -> str:
    """The address with dots for the password, and for the query, where drivers take passwords too."""
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return DOTS
    name, colon, _ = user.partition(":")
    netloc = f"{name}:{DOTS}{at}{host}" if colon else parts.netloc
    return (
        urlunsplit((parts.scheme, netloc, parts.path, DOTS if parts.query else "", ""))
        if parts.netloc
        else (url if parts.scheme.startswith("sqlite") and not parts.query else DOTS)
    )
