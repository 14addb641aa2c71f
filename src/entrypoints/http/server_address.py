"""Under which address clients find this server."""

from typing import Any

from litestar import Request

from entrypoints.http.http_config import HttpConfig


def server_address(request: Request[Any, Any, Any], config: HttpConfig) -> str:
    """As configured, else as this client found it; without a slash at the end."""
    return (config.public_url or str(request.base_url)).rstrip("/")
