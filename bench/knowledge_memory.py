"""The memory of a server while it takes in a PDF of many pages; its children, who parse, are told apart."""

import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fake_embeddings import provider
from processes import rss_mb, tree
from server import API, Server

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from documents_corpus.corpus_pdf import long  # noqa: E402

EDGE = "bench-edge"
SECONDS = 300


def memory(where: Mapping[str, str], pages: int) -> dict[str, str]:
    """With a provider of embeddings that answers at once: the local model's children have their own, constant memory."""
    with provider() as embedding, tempfile.TemporaryDirectory() as folder:
        given = {**where, **embedding, "INGESTION": '{"in_server": true}'}
        server = Server(Path(folder), "http://127.0.0.1:9/v1", given.pop("DATABASE_URL", None), more=given)
        server.migrate()
        server.start()
        try:
            server.log_in()
            _ingest(server, "small.pdf", long(3))
            before, (most, in_children), began = _own(server.pid), (0.0, 0.0), time.monotonic()
            for _ in _ingesting(server, "long.pdf", long(pages)):
                most = max(most, _own(server.pid))
                in_children = max(in_children, rss_mb(server.pid) - _own(server.pid))
            took = time.monotonic() - began
        finally:
            server.stop()
    return {
        f"taking in a PDF of {pages} pages: the server's memory grows by, MB": f"{most - before:.0f}",
        "… from, MB; children at most, MB; seconds": f"{before:.0f}; {in_children:.0f}; {took:.0f}",
    }


def _own(pid: int) -> float:
    return rss_mb(pid) - sum(rss_mb(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    """Those at the top: `rss_mb` counts what is below them."""
    below = tree(pid) - {pid}
    return [one for one in below if not any(one in tree(other) - {other} for other in below)]


def _ingest(server: Server, name: str, content: bytes) -> None:
    for _ in _ingesting(server, name, content):
        pass


def _ingesting(server: Server, name: str, content: bytes) -> Iterator[None]:
    """Looks again and again, until it is done."""
    base = _post(server, "/knowledge/create", {"knowledge_name": name})["knowledge_id"]
    form = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = form + content + f"\r\n--{EDGE}--\r\n".encode()
    url = _call(server, "/upload", body, f"multipart/form-data; boundary={EDGE}")
    file = _post(server, "/knowledge_file/create", {"knowledge_id": base, "file_url": url})
    deadline, looked = time.monotonic() + SECONDS, 0.0
    while time.monotonic() < deadline:
        yield
        time.sleep(0.005)
        if time.monotonic() - looked < 0.5:
            continue
        looked = time.monotonic()
        found = _call(server, f"/knowledge_file/{file['id']}")
        if found["status"] == "success":
            return
        if found["status"] == "fail":
            raise SystemExit(f"{name} was not taken in: {found}")
    raise SystemExit(f"{name} was not taken in within {SECONDS} s.")


def _post(server: Server, path: str, body: object) -> Any:
    return _call(server, path, json.dumps(body).encode(), "application/json")


def _call(server: Server, path: str, body: bytes | None = None, kind: str = "") -> Any:
    headers = {"authorization": f"Bearer {server.token}"} | ({"content-type": kind} if kind else {})
    request = urllib.request.Request(f"{server.url}{API}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())["data"]
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error.code} {error.read()[:500]!r}") from error
