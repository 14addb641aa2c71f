"""Addresses of files: which are ours, what a signature covers, and what a browser is told."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from application.files.file_headers import disposition, download_name, shown_type
from application.files.file_links import FOLDER, LONGEST_ADDRESS, address, file_in, granted
from domain.files.files import LONGEST_NAME, FileKind, StoredFile, parse_file_name, safe_name
from domain.ids import FileId, UserId

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ID = FileId("01M83NW10357VW0KHR17GEVRZ7")
GOOD = f"{FOLDER}{ID}/report.pdf"

file_ids = st.text(ALPHABET, min_size=26, max_size=26).map(FileId)
kinds = st.sampled_from(FileKind)
raw_names = st.text(st.characters(codec="utf-8"), max_size=300) | st.sampled_from(
    [
        "../../etc/passwd",
        'a"b;c\r\nX: y.pdf',
        "报告 总结.pdf",
        "😀.png",
        "a..b.pdf",
        "x\u202efdp.exe",
        "%2e%2e%2fx",
        "CON",
        "a\\b",
    ]
)
names = raw_names.map(parse_file_name)
servers = st.sampled_from(
    [
        "",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://chat.example.org",
        "HTTPS://Chat.example.org",
        "https://例え.jp",
        "https://example.org/agent-chat/v2",
    ]
)
signatures = st.text("abcXYZ019-_", min_size=43, max_size=43)
times = st.integers(0, 253_402_300_799)


def stored(name: str, kind: FileKind, file_id: FileId = ID) -> StoredFile:
    return StoredFile(file_id, UserId("ann"), name, kind, 1, "0" * 64, datetime(2026, 1, 2, tzinfo=UTC))


@given(servers, file_ids, names, kinds, times, signatures)
def test_an_address_that_was_handed_out_is_known_again(
    server: str, file_id: FileId, name: str, kind: FileKind, expires: int, signature: str
) -> None:
    safe = safe_name(name, kind)
    made = address(server, file_id, safe, expires, signature)
    assert file_in(made) == file_id
    assert file_in(made.partition("?")[0]) == file_id
    assert file_in(unquote(made)) == file_id
    parts = urlsplit(made)
    assert parts.path.isascii()
    assert unquote(parts.path.rpartition("/")[2]) == safe
    assert parse_qs(parts.query) == {"expires": [str(expires)], "signature": [signature]}


@given(st.text(st.characters(codec=None), max_size=200))
def test_other_texts_name_no_file(text: str) -> None:
    assume(FOLDER not in text)
    assert file_in(text) is None


MUTATIONS = st.sampled_from("/\\.%?#@: \t\r\n\x00é\u202e\u2044\uff0f\uff0e\ud800aZ0ilou;&=")


@given(st.integers(1, len(GOOD)), MUTATIONS, st.booleans())
def test_only_what_has_exactly_the_form_names_a_file(place: int, char: str, replaces: bool) -> None:
    """A second, slower reading of the rule, over everything near a good address."""
    text = f"http://host{GOOD}"
    place += len("http://host")
    mutant = text[:place] + char + text[place + replaces :]
    path, _, rest = mutant.removeprefix("http://host").partition("?")
    segments = path.split("/")
    is_ours = (
        segments[:4] == ["", "api", "v1", "files"]
        and len(segments) == 6
        and len(segments[4]) == 26
        and set(segments[4]) <= set(ALPHABET)
        and re.fullmatch(r"[\w.()+=@-]+", segments[5]) is not None
        and not {"#", "\\", " "} & set(rest)
        and rest.isprintable()
    )
    assert file_in(mutant) == (segments[4] if is_ours else None)


HOSTILE = [
    "",
    ID,
    FOLDER,
    f"{FOLDER}{ID}",
    f"{FOLDER}{ID}/",
    f"/{GOOD}",
    f"//host{GOOD}",
    f"{GOOD}/more",
    f"{GOOD}#page=2",
    f"{GOOD}?x=1#page=2",
    f" {GOOD}",
    f"{GOOD}\n",
    f"{GOOD}?a=\r\nHost: x",
    f"{FOLDER}{ID.lower()}/report.pdf",
    f"{FOLDER}{ID[:-1]}/report.pdf",
    f"{FOLDER}{ID}0/report.pdf",
    f"{FOLDER}{ID[:-1]}U/report.pdf",
    f"{FOLDER}{ID[:-1]}٣/report.pdf",
    f"{FOLDER}{ID}/.",
    f"{FOLDER}{ID}/..",
    f"{FOLDER}{ID}/%2e%2e",
    f"{FOLDER}{ID}/..%2f..%2fetc%2fpasswd",
    f"{FOLDER}{ID}/..%5cx",
    f"{FOLDER}{ID}/%252e%252e",
    f"{FOLDER}{ID}/a%2Fb.pdf",
    f"{FOLDER}{ID}/a%00.pdf",
    f"{FOLDER}{ID}/a%0d%0ab.pdf",
    f"{FOLDER}{ID}/a%ff.pdf",
    f"{FOLDER}{ID}/a\\b.pdf",
    f"{FOLDER}../{ID}/report.pdf",
    f"/api/v1/x/../files/{ID}/report.pdf",
    f"/api/v1/files/%30{ID[1:]}/report.pdf",
    f"/API/v1/files/{ID}/report.pdf",
    f"/api/v1//files/{ID}/report.pdf",
    f"api/v1/files/{ID}/report.pdf",
    f"/prefix{GOOD}",
    f"http://user@host{GOOD}",
    f"http://user:password@host{GOOD}",
    f"http://host@evil.example{GOOD}",
    f"http://host\\@evil.example{GOOD}",
    f"http://{GOOD}",
    f"http:{GOOD}",
    f"http://host:port{GOOD}",
    f"http://host:123456{GOOD}",
    f"http://[::1{GOOD}",
    f"http://host/..{GOOD}",
    f"http://host/.{GOOD}",
    f"http://host/%2e%2e{GOOD}",
    f"http://host/?x={GOOD}",
    f"http://host/#{GOOD}",
    f"http://169.254.169.254/latest/meta-data?{GOOD}",
    f"file://{GOOD}",
    f"file://host{GOOD}",
    f"ftp://host{GOOD}",
    f"javascript://host{GOOD}",
    f"data:text/html,{GOOD}",
    f"h\tttp://host{GOOD}",
    f"{GOOD}?{'x' * LONGEST_ADDRESS}",
    "http://" * 100_000,
    f"http://host{'/a' * 100_000}{GOOD}",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:60]))
def test_a_hostile_address_names_no_file(text: str) -> None:
    assert file_in(text) is None


@given(st.text("/.a-:[]", max_size=LONGEST_ADDRESS))
def test_no_text_takes_long_to_refuse(text: str) -> None:
    """A pattern that backtracks would hang here."""
    assert file_in(f"http://{text}"[:LONGEST_ADDRESS]) is None
    assert file_in(f"http://h{'/a-' * 1300}!") is None


@given(st.tuples(st.text(), st.text(), times), st.tuples(st.text(), st.text(), times))
@example(("a", "b,1", 2), ("a,b", "1", 2))
@example(("a", 'b", 1', 2), ('a", "b', "1", 2))
def test_different_grants_are_signed_differently(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (granted(*one) == granted(*other)) == (one == other)
    assert json.loads(granted(*one))[1:] == list(one)


@given(names, kinds)
def test_headers_hold_nothing_that_could_end_them(name: str, kind: FileKind) -> None:
    said = disposition(stored(name, kind))
    assert said.isascii()
    assert said.isprintable()
    found = re.fullmatch(r"(inline|attachment); filename=\"([A-Za-z0-9._-]+)\"; filename\*=UTF-8''(.+)", said)
    assert found is not None
    assert re.fullmatch(r"(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+", found[3])
    assert unquote(found[3], errors="strict") == download_name(stored(name, kind))


@given(names, kinds)
def test_a_download_is_called_as_the_client_called_it_but_honestly(name: str, kind: FileKind) -> None:
    file = stored(name, kind)
    shown = download_name(file)
    assert not set(shown) & set("/\\\r\n\x00\u202e")
    assert shown.rpartition(".")[2].lower() == file.safe_name.rpartition(".")[2]
    assert not shown.startswith(".")
    assert len(shown) < 120


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("年度 报告.pdf", FileKind.PDF, "年度 报告.pdf"),
        ("C:\\Users\\ann\\Q1 (final).XLSX", FileKind.XLSX, "Q1 (final).xlsx"),
        ("../../etc/passwd", FileKind.TEXT, "passwd.txt"),
        ("invoice.pdf.exe", FileKind.PDF, "invoice.pdf.exe.pdf"),
        ("page.htm", FileKind.HTML, "page.htm"),
        ("gpj\u202efdp.exe", FileKind.PDF, "gpjfdp.exe.pdf"),
        ("...", FileKind.PNG, "file.png"),
        ("😀.png", FileKind.PNG, "😀.png"),
    ],
)
def test_names_of_downloads(name: str, kind: FileKind, shown: str) -> None:
    assert download_name(stored(name, kind)) == shown


def test_what_a_browser_could_run_is_never_shown_in_place() -> None:
    shown = {kind for kind in FileKind if disposition(stored("x", kind)).startswith("inline")}
    assert shown == {FileKind.PDF, FileKind.PNG, FileKind.JPEG, FileKind.WEBP, FileKind.GIF}
    assert "text/html" not in {shown_type(stored("x", kind)) for kind in FileKind}
    assert shown_type(stored("x", FileKind.PDF)) == "application/pdf"


@given(st.text(st.sampled_from("报😀é"), min_size=LONGEST_NAME, max_size=LONGEST_NAME), kinds)
def test_the_longest_name_fits_into_an_address_that_holds_it_encoded_twice(name: str, kind: FileKind) -> None:
    assert len(quote(disposition(stored(name, kind)))) < LONGEST_ADDRESS - 800
