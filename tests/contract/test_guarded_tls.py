"""TLS of the guarded web: the name that was asked must stand in the certificate, whatever address it has."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.web.guarded import GuardedHttp
from application.ports.guarded_web import WebFailed
from domain.tools.addresses import Reach
from guarded_scene import LOOPBACK, Listener, Names, get


def certified(name: str, folder: Path) -> Path:
    """A certificate for the name, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


@asynccontextmanager
async def tls_server(file: Path) -> AsyncIterator[tuple[list[str | None], int]]:
    """The names that clients said they want, and the port."""
    context, wanted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(file)
    context.sni_callback = lambda _socket, name, _context: wanted.append(name)
    server = await asyncio.start_server(Listener().serve, "127.0.0.1", 0, ssl=context)
    try:
        yield wanted, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_the_name_is_checked_and_not_the_address(tmp_path: Path) -> None:
    file = certified("a.example", tmp_path)
    names = Names(a_example=[["127.0.0.1"]], b_example=[["127.0.0.1"]])
    trusting = ssl.create_default_context(cafile=str(file))
    web = GuardedHttp(Reach.of(LOOPBACK), resolve=names, tls=trusting)
    async with tls_server(file) as (wanted, port), web.client() as client:
        assert (await web.send(get(f"https://a.example:{port}/"))).body == b"secret"
        assert (await client.get(f"https://a.example:{port}/")).content == b"secret"
        assert wanted == ["a.example"] * 2
        for host in ("b.example", "127.0.0.1"):
            with pytest.raises(WebFailed, match=f"{host} has no certificate"):
                await web.send(get(f"https://{host}:{port}/"))
            with pytest.raises(httpx2.ConnectError):
                await client.get(f"https://{host}:{port}/")
    await web.aclose()


async def test_a_certificate_of_nobody_is_not_trusted(tmp_path: Path) -> None:
    web = GuardedHttp(Reach.of(LOOPBACK), resolve=Names(a_example=[["127.0.0.1"]]))
    async with tls_server(certified("a.example", tmp_path)) as (_, port):
        with pytest.raises(WebFailed, match="no certificate"):
            await web.send(get(f"https://a.example:{port}/"))
    await web.aclose()
