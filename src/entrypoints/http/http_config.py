"""What the HTTP layer is told by the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpConfig:
    version: str = "0"
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser; none unless configured, "*" for all."""
    max_body_bytes: int = 2_000_000
    """Of a JSON body. Uploads have their own limit."""
    public_url: str | None = None
    """Where clients find the server; without it, at the address of their request."""
    heartbeat_seconds: float = 10.0
    """Silence after which a stream says that it is still there."""
    metrics_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Whose clients see the server's numbers; without any there is no such address."""
