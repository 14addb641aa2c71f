"""Clients of the SDK that wait for as long as we say, not for the minutes that it would."""

import os
from dataclasses import dataclass
from typing import Any, Final

import certifi
from minio import Minio
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

from adapters.minio.addresses import Endpoint

_SLICE: Final = 64 * 1024
_CONNECTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for a connection, and for the next bytes in either direction; how often to try again."""

    connect: float
    read: float
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Account:
    access_key: str
    secret_key: str
    region: str

    def __repr__(self) -> str:
        return "Account(…)"


def client(endpoint: Endpoint, account: Account, patience: Patience) -> Minio:
    return Minio(
        endpoint.place,
        account.access_key,
        account.secret_key,
        secure=endpoint.secure,
        region=account.region,
        http_client=_pools(patience),
    )


def _pools(patience: Patience) -> PoolManager:
    retry = Retry(
        total=patience.retries,
        # A hanging storage is asked once more, not for as long as three time-outs.
        read=min(1, patience.retries),
        redirect=False,
        backoff_factor=0.2,
        status_forcelist=[500, 502, 503, 504],
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    pools = PoolManager(
        timeout=Timeout(connect=patience.connect, read=patience.read),
        maxsize=_CONNECTIONS,
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        retries=retry,
    )
    pools.pool_classes_by_scheme = _pool_classes(patience.read)
    return pools


def _pool_classes(seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    """Connections that give each slice of a body the time-out. urllib3 gives all of a body the one for connecting."""

    class Plain(HTTPConnection):
        def send(self, data: Any) -> None:
            _ready(self, seconds)
            for piece in _slices(data):
                super().send(piece)

    class Secure(HTTPSConnection):
        def send(self, data: Any) -> None:
            _ready(self, seconds)
            for piece in _slices(data):
                super().send(piece)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _ready(connection: HTTPConnection, seconds: float) -> None:
    if connection.sock is None:
        connection.connect()
    connection.sock.settimeout(seconds)


def _slices(data: Any) -> list[Any]:
    if not isinstance(data, bytes) or len(data) <= _SLICE:
        return [data]
    view = memoryview(data)
    return [view[at : at + _SLICE] for at in range(0, len(data), _SLICE)]
