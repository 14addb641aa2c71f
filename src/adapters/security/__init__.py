"""Passwords, tokens, the secrets that sign them, and the time."""

from adapters.security.argon2_hasher import Argon2Hasher
from adapters.security.clock import SystemClock
from adapters.security.jwt_issuer import JwtIssuer
from adapters.security.link_signer import HmacLinkSigner
from adapters.security.opaque_tokens import RandomTokens
from adapters.security.secret_box import FernetBox
from adapters.security.secret_file import SecretFileRefused, read_or_make_secret_keys

__all__ = [
    "Argon2Hasher",
    "FernetBox",
    "HmacLinkSigner",
    "JwtIssuer",
    "RandomTokens",
    "SecretFileRefused",
    "SystemClock",
    "read_or_make_secret_keys",
]
