"""Files over HTTP: whose they are, and how their contents are served to whoever has the address."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from http_answers import Client, Headers, Register, code_of, data_of

TEXT = "第一行\nand more\n".encode() * 40
GIF = b"GIF89a" + bytes(40)
Upload = Callable[..., str]


@pytest.fixture
def ann(register: Register) -> Headers:
    return register()


@pytest.fixture
def upload(client: Client, ann: Headers) -> Upload:
    """Gives the path of the signed address."""

    def send(name: str = "notes.txt", content: bytes = TEXT, owner: Headers = ann) -> str:
        url: str = data_of(client.post("/api/v1/upload", files={"file": (name, content)}, headers=owner))
        return url[url.index("/api/v1/") :]

    return send


@pytest.fixture
def notes(upload: Upload) -> str:
    return upload()


def files(client: Client, owner: Headers, **query: Any) -> Any:
    return client.get("/api/v1/files", params=query, headers=owner)


def id_of(path: str) -> str:
    return path.split("/")[4]


def test_files_are_listed_newest_first_in_pages(client: Client, ann: Headers, upload: Upload) -> None:
    for number in range(5):
        upload(f"{number}.txt")
    assert [file["name"] for file in data_of(files(client, ann))] == [f"{number}.txt" for number in range(4, -1, -1)]
    seen, cursor = [], None
    while True:
        page = files(client, ann, limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [file["name"] for file in page["data"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert seen == [f"{number}.txt" for number in range(4, -1, -1)]
    assert code_of(files(client, ann, limit=0), 422) == "invalid_value"


def test_a_file_is_shown_with_an_address_of_its_own(client: Client, ann: Headers, upload: Upload) -> None:
    path = upload("报告.md")
    shown = data_of(client.get(f"/api/v1/files/{id_of(path)}", headers=ann))
    assert shown == data_of(files(client, ann))[0] | {"url": shown["url"]}
    assert set(shown) == {
        "file_id", "id", "name", "kind", "media_type", "size", "sha256", "url", "create_time",
    }  # fmt: skip
    assert (shown["kind"], shown["media_type"], shown["size"]) == ("md", "text/markdown", len(TEXT))
    assert client.get(shown["url"][shown["url"].index("/api/v1/") :]).content == TEXT


def test_another_s_file_is_not_there(client: Client, ann: Headers, upload: Upload, register: Register) -> None:
    bob, file_id = register(), id_of(upload())
    assert data_of(files(client, bob)) == []
    assert code_of(client.get(f"/api/v1/files/{file_id}", headers=bob), 404) == "file_not_found"
    assert code_of(client.request("DELETE", "/api/v1/files", json={"file_id": file_id}, headers=bob), 404)
    assert len(data_of(files(client, ann))) == 1


@pytest.mark.parametrize("in_body", [True, False])
def test_a_removed_file_is_gone_with_its_addresses(client: Client, ann: Headers, upload: Upload, in_body: bool) -> None:
    path = upload()
    given: dict[str, Any] = {"file_id": id_of(path)}
    how = {"json": given} if in_body else {"params": given}
    assert data_of(client.request("DELETE", "/api/v1/files", headers=ann, **how)) is None  # type: ignore[arg-type]
    assert code_of(client.get(path), 404) == "file_not_found"
    assert code_of(client.get(f"/api/v1/files/{id_of(path)}", headers=ann), 404) == "file_not_found"
    assert code_of(client.request("DELETE", "/api/v1/files", headers=ann, **how), 404)  # type: ignore[arg-type]
    assert code_of(client.request("DELETE", "/api/v1/files", headers=ann), 422) == "invalid_value"
    assert data_of(files(client, ann)) == []


def test_a_whole_file_is_served_with_what_guards_browsers(client: Client, upload: Upload) -> None:
    response = client.get(upload("页面.html", b"<html><script>alert(1)</script>"))
    assert (response.status_code, response.content) == (200, b"<html><script>alert(1)</script>")
    headers = response.headers
    assert headers["content-type"] == "text/plain"
    assert headers["content-length"] == "31"
    assert headers["content-disposition"].startswith("attachment; filename=\"__.html\"; filename*=UTF-8''%E9%A1%B5")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["accept-ranges"] == "bytes"
    private, age = headers["cache-control"].split(", max-age=")
    assert private == "private"
    assert 86_300 < int(age) <= 86_400


@pytest.mark.parametrize(
    ("content", "kind", "manner", "sandbox"),
    [(GIF, "image/gif", "inline", True), (b"%PDF-1.4\n", "application/pdf", "inline", False),
     (b"{}", "application/json", "attachment", True), (b"plain", "text/plain", "attachment", True)],
)  # fmt: skip
def test_only_what_runs_nothing_is_shown(
    client: Client, upload: Upload, content: bytes, kind: str, manner: str, sandbox: bool
) -> None:
    headers = client.get(upload("x", content)).headers
    assert headers["content-type"] == kind
    assert headers["content-disposition"].startswith(f"{manner}; ")
    assert ("content-security-policy" in headers) is sandbox


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, len(TEXT) + 5), last=st.integers(0, len(TEXT) + 5))
def test_a_range_is_that_part_of_the_file(client: Client, notes: str, first: int, last: int) -> None:
    response = client.get(notes, headers={"range": f"bytes={first}-{last}"})
    if last < first:
        assert (response.status_code, response.content) == (200, TEXT)
    elif first >= len(TEXT):
        assert code_of(response, 416) == "range_not_satisfiable"
        assert response.headers["content-range"] == f"bytes */{len(TEXT)}"
    else:
        stop = min(last + 1, len(TEXT))
        assert (response.status_code, response.content) == (206, TEXT[first:stop])
        assert response.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(TEXT)}"
        assert response.headers["content-length"] == str(stop - first)


def test_several_ranges_are_the_whole(client: Client, upload: Upload) -> None:
    response = client.get(upload(), headers={"range": "bytes=0-1,4-5"})
    assert (response.status_code, response.content) == (200, TEXT)


def test_a_client_that_has_the_file_gets_none(client: Client, upload: Upload) -> None:
    path = upload()
    known = client.get(path).headers
    for condition in (
        {"if-none-match": known["etag"]},
        {"if-none-match": f'"other", W/{known["etag"]}'},
        {"if-none-match": "*"},
        {"if-modified-since": known["last-modified"]},
        {"if-none-match": known["etag"], "range": "bytes=0-1"},
    ):
        response = client.get(path, headers=condition)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == known["etag"]
        assert "content-type" not in response.headers
    for condition in (
        {"if-none-match": '"other"'},
        {"if-none-match": '"other"', "if-modified-since": known["last-modified"]},
        {"if-modified-since": "Mon, 01 Jan 2001 00:00:00 GMT"},
        {"if-modified-since": "nonsense"},
    ):
        assert client.get(path, headers=condition).content == TEXT


def test_a_range_of_another_version_is_the_whole(client: Client, upload: Upload) -> None:
    path = upload()
    known = client.get(path).headers
    for same in (known["etag"], known["last-modified"]):
        assert client.get(path, headers={"range": "bytes=1-2", "if-range": same}).content == TEXT[1:3]
    for other in ('"other"', f"W/{known['etag']}", "Mon, 01 Jan 2001 00:00:00 GMT"):
        assert client.get(path, headers={"range": "bytes=1-2", "if-range": other}).content == TEXT


def test_head_tells_everything_but_the_content(client: Client, upload: Upload) -> None:
    path = upload()
    got = client.get(path)
    for headers in ({}, {"range": "bytes=1-2"}):
        head = client.head(path, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        told = set(got.headers) - {"x-request-id", "cache-control"}
        assert {name: head.headers[name] for name in told} == {name: got.headers[name] for name in told}


def test_head_finds_no_content_that_get_does_not_find(client: Client, upload: Upload, shared_folder: Path) -> None:
    files = shared_folder / "data" / "files"
    before = set(files.rglob("*"))
    path = upload()
    [content] = [found for found in set(files.rglob("*")) - before if found.is_file()]
    content.unlink()
    assert [client.get(path).status_code, client.head(path).status_code] == [404, 404]


def test_a_tampered_link_opens_nothing(client: Client, upload: Upload) -> None:
    path, other = upload(), upload("other.txt")
    address, _, query = path.partition("?")
    expires, signature = (part.split("=")[1] for part in query.split("&"))
    for wrong in (
        address,
        f"{address}?expires={expires}",
        f"{address}?signature={signature}",
        f"{address}?expires={int(expires) + 1}&signature={signature}",
        f"{address}?expires=&signature={signature}",
        f"{address}?expires=x&signature={signature}",
        f"{address}?expires=-1&signature={signature}",
        f"{address}?expires={expires}&signature={signature[:-1]}",
        f"{address}?expires={expires}&signature=%E4%B8%AD",
        f"{address.replace('notes', 'n0tes')}?{query}",
        f"{address.replace('notes', '..%2fnotes')}?{query}",
        f"{address}%00?{query}",
        f"/api/v1/files/{id_of(other)}/notes.txt?{query}",
        f"/api/v1/files/{'0' * 26}/notes.txt?{query}",
        f"/api/v1/files/..%2f..%2fsecret_keys/notes.txt?{query}",
    ):
        assert code_of(client.get(wrong), 404) == "file_not_found", wrong


def test_an_address_needs_no_account_and_a_wrong_token_does_not_spoil_it(client: Client, upload: Upload) -> None:
    assert client.get(upload(), headers={"authorization": "Bearer nonsense"}).content == TEXT


def test_files_go_with_their_account(client: Client, ann: Headers, upload: Upload) -> None:
    path = upload()
    data_of(client.request("DELETE", "/api/v1/user/delete", json={"user_password": "test"}, headers=ann))
    assert code_of(client.get(path), 404) == "file_not_found"


def test_an_address_takes_get_and_head(client: Client) -> None:
    options = client.options("/api/v1/files/x/y")
    assert {"GET", "HEAD"} <= set(options.headers["allow"].split(", "))
