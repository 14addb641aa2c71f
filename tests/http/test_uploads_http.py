"""Uploading over HTTP: forms as clients of all kinds write them, and what is refused how."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.files.file_links import file_in
from entrypoints.http.multipart_form import BESIDE_FILE, MOST_HEAD_BYTES, MOST_PARTS
from http_answers import Client, Headers, Register, Serving, code_of, data_of

UPLOAD = "/api/v1/upload"
EDGE = "edge"
PDF = b"%PDF-1.4\n" + b"\x00\xff" * 50


def part(disposition: str | bytes, content: bytes, extra: str = "") -> bytes:
    raw = disposition if isinstance(disposition, bytes) else disposition.encode()
    return b"--edge\r\nContent-Disposition: form-data; " + raw + f"\r\n{extra}\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


@pytest.fixture
def person(client: Client, register: Register) -> Headers:
    return register()


def send(client: Client, person: Headers, body: bytes, content_type: str = "multipart/form-data; boundary=edge") -> Any:
    return client.post(UPLOAD, content=body, headers={**person, "content-type": content_type})


def contents(folder: Path) -> set[Path]:
    return {path for path in (folder / "data" / "files").rglob("*") if path.is_file()}


def listed(client: Client, person: Headers) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data_of(client.get("/api/v1/files", headers=person))
    return found


def path_of(url: str) -> str:
    return url[url.index("/api/v1/") :]


def test_an_upload_answers_with_an_address_that_opens_it(client: Client, person: Headers) -> None:
    response = client.post(UPLOAD, files={"file": ("report.pdf", PDF, "application/pdf")}, headers=person)
    url = data_of(response)
    assert isinstance(url, str)
    assert url.startswith(f"{client.base_url}/api/v1/files/")
    assert file_in(url) == response.headers["x-file-id"]
    assert client.get(path_of(url)).content == PDF
    [file] = listed(client, person)
    assert (file["name"], file["kind"], file["size"]) == ("report.pdf", "pdf", len(PDF))
    assert file["file_id"] == file["id"] == response.headers["x-file-id"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="file"; filename="说明.pdf"', "说明.pdf"),
        ('name="file"; filename="a%22b.pdf"', 'a"b.pdf'),
        ('name="file"; filename="a\\"b.pdf"', 'a"b.pdf'),
        ('name="file"; filename="100%.pdf"', "100%.pdf"),
        ('name="file"; filename=plain.pdf', "plain.pdf"),
        ("name=\"file\"; filename=\"x.pdf\"; filename*=UTF-8''%E8%AF%B4%E6%98%8E.pdf", "说明.pdf"),
        ("name=file; filename*=iso-8859-1'en'%A3.pdf", "£.pdf"),
        ('name="file"; filename="说明.pdf"'.encode("gb18030"), "说明.pdf"),
        ('name="file"; filename="../../etc/passwd"', "../../etc/passwd"),
        ('name="file"; filename=""', "file"),
        ('name="file"', "file"),
        (f'name="file"; filename="{"长" * 500}.pdf"', "长" * 255),
    ],
)  # fmt: skip
def test_the_name_comes_through_as_the_client_meant_it(
    client: Client, person: Headers, disposition: str | bytes, name: str
) -> None:
    data_of(send(client, person, form(part(disposition, PDF))))
    assert [file["name"] for file in listed(client, person)] == [name]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300), near=st.sampled_from([b"", b"\r\n--edg", b"\r\n--edge ", b"--edge--", b"\r\n-"])
)
def test_every_byte_arrives_also_those_that_look_like_an_edge(
    client: Client, person: Headers, content: bytes, near: bytes
) -> None:
    whole = b"%PDF-1.4\n" + content + near + content
    if b"\r\n--edge" in whole:
        whole = whole.replace(b"\r\n--edge", b"")
    url = data_of(send(client, person, form(part('name="file"; filename="a"', whole))))
    assert client.get(path_of(url)).content == whole


def test_other_fields_are_skipped(client: Client, person: Headers) -> None:
    fields = [part('name="note"', b"x" * 100_000), part('name="files"; filename="b.pdf"', PDF)]
    data_of(send(client, person, form(fields[0], part('name="file"; filename="a.pdf"', PDF), fields[1])))
    assert [file["name"] for file in listed(client, person)] == ["a.pdf"]


FILE = part('name="file"; filename="a.pdf"', PDF)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "multipart_malformed"),
        (b"nothing of a form", 400, "multipart_malformed"),
        (form(), 422, "invalid_value"),
        (form(part('name="other"', b"x")), 422, "invalid_value"),
        (form(part('filename="a.pdf"', PDF)), 422, "invalid_value"),
        (form(FILE, FILE), 422, "invalid_value"),
        (FILE, 400, "multipart_malformed"),
        (FILE[:-20], 400, "multipart_malformed"),
        (form(FILE)[:-4], 400, "multipart_malformed"),
        (form(part('name="file"; filename="a.pdf"', PDF, "Content-Length: 5\r\n")), 400, "multipart_malformed"),
        (FILE + b"--edge\r\nno header\r\n\r\n\r\n--edge--", 400, "multipart_malformed"),
        (form(part('name="file"', b"")), 422, "file_empty"),
        (form(part('name="file"; filename="a.pdf"', b"\x7fELF" + bytes(2000))), 415, "file_kind_not_allowed"),
        (form(part('name="file"', b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")), 415, "file_encrypted_or_outdated"),
        (form(FILE, part('name="x"', b"x" * BESIDE_FILE)), 413, "body_too_large"),
        (form(part('name="x"', b"x" * BESIDE_FILE), FILE), 413, "body_too_large"),
        (form(*[part('name="x"', b"")] * MOST_PARTS, FILE), 413, "body_too_large"),
        (form(part('name="file"', PDF, f"X-Long: {'x' * MOST_HEAD_BYTES}\r\n")), 413, "body_too_large"),
        (form(part('name="file"', PDF, "X-Much: x\r\n" * 20)), 413, "body_too_large"),
        (b"x" * BESIDE_FILE + b"\r\n" + form(FILE), 413, "body_too_large"),
        (form(FILE) + b"x" * BESIDE_FILE, 413, "body_too_large"),
    ],
    ids=range(21),
)
def test_what_is_no_form_with_one_file_is_refused_and_leaves_nothing(
    client: Client, person: Headers, shared_folder: Path, body: bytes, status: int, code: str
) -> None:
    before = contents(shared_folder)
    assert code_of(send(client, person, body), status) == code
    assert listed(client, person) == []
    assert contents(shared_folder) == before


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("application/json", 415, "unsupported_media_type"),
        ("", 415, "unsupported_media_type"),
        ("multipart/mixed; boundary=edge", 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ("multipart/form-data", 400, "multipart_malformed"),
        ("multipart/form-data; boundary=", 400, "multipart_malformed"),
        (f"multipart/form-data; boundary={'x' * 300}", 400, "multipart_malformed"),
        ('multipart/form-data; boundary="<edge>"', 400, "multipart_malformed"),
    ],
)
def test_only_forms_are_taken(client: Client, person: Headers, content_type: str, status: int, code: str) -> None:
    assert code_of(send(client, person, form(FILE), content_type), status) == code


def test_without_a_token_nothing_is_read(client: Client) -> None:
    assert code_of(send(client, {}, form(FILE)), 401) == "token_missing"


def test_the_limit_of_other_bodies_is_not_that_of_uploads(client: Client, person: Headers) -> None:
    large = b"%PDF-1.4\n" + bytes(12_000_000)
    data_of(send(client, person, form(part('name="file"', large))))
    assert listed(client, person)[0]["size"] == len(large)


@pytest.fixture
def limited(serving: Serving, database_url: str, tmp_path: Path) -> Iterator[Client]:
    """At most 1,000 bytes a file, 1,500 together, 3 an hour."""
    limits = {"MAX_UPLOAD_BYTES": "1000", "QUOTA__UPLOAD_BYTES": "1500", "QUOTA__UPLOADS_PER_HOUR": "3"}
    with serving(database_url, tmp_path, PUBLIC_URL="https://chat.example.org/app/", **limits) as made:
        account = {"user_name": f"ann-{uuid4().hex[:8]}", "user_password": "test"}
        made.post("/api/v1/user/register", json=account)
        token = made.post("/api/v1/user/login", json=account).json()["data"]["access_token"]
        made.headers["authorization"] = f"Bearer {token}"
        yield made


def test_limits_are_those_of_the_settings(limited: Client) -> None:
    refused = send(limited, {}, form(part('name="file"', b"x" * 1001)))
    assert code_of(refused, 413) == "file_too_large"
    assert "1,000 bytes" in refused.json()["status_message"]
    announced = send(limited, {}, form(part('name="file"', b"x" * (BESIDE_FILE + 2000))))
    assert code_of(announced, 413) == "file_too_large"
    assert announced.headers["connection"] == "close"
    url = data_of(send(limited, {}, form(part('name="file"', b"x" * 1000))))
    assert url.startswith("https://chat.example.org/app/api/v1/files/")
    assert code_of(send(limited, {}, form(part('name="file"', b"x" * 501))), 413) == "upload_quota_exceeded"
    for _ in range(2):
        data_of(send(limited, {}, form(part('name="file"', b"x" * 10))))
    too_many = send(limited, {}, form(part('name="file"', b"x")))
    assert code_of(too_many, 429) == "too_many_uploads"
    assert int(too_many.headers["retry-after"]) > 3500


def test_uploading_is_described(client: Client) -> None:
    operation = client.get("/docs/openapi.json").json()["paths"]["/api/v1/upload"]["post"]
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["required"] == ["file"]
    assert operation["requestBody"]["required"] is True
