"""Names of files are data and never a path; quotas say when there is room again."""

import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import TooLarge, TooManyRequests
from domain.files.files import (
    IMAGES,
    LONGEST_NAME,
    LONGEST_SAFE_NAME,
    MEDIA_TYPES,
    SHOWN_BY_BROWSERS,
    UPLOAD_WINDOW,
    FileKind,
    Uploaded,
    UploadQuota,
    parse_file_name,
    safe_name,
    without_folders,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
KINDS = st.sampled_from(FileKind)
NAMES = st.text(st.characters(), max_size=300) | st.sampled_from(
    [
        "..",
        ".",
        "/",
        "../../etc/passwd",
        "C:\\con.txt",
        ".htaccess",
        "a.PDF",
        "a.tar.gz",
        "名字.pdf",
        "ﬁle／..／x",
        "\ud800",
    ]
)


@given(NAMES)
def test_a_name_that_was_given_is_never_empty_and_shows_no_controls(given_name: str) -> None:
    name = parse_file_name(given_name)
    assert 1 <= len(name) <= LONGEST_NAME
    assert not any(char in name for char in "\x00\n\r\t\x7f\u2028\u2029")
    assert parse_file_name(name) == name
    name.encode()


JOINERS = "\u200c\u200d"
UNSEEN = st.characters(categories=["Cc", "Cf", "Zl", "Zp"])


@given(
    st.lists(st.text(st.sampled_from("aé中👩 \u3000.")) | UNSEEN | st.sampled_from(JOINERS), max_size=20).map("".join)
)
def test_a_name_holds_nothing_that_nobody_sees(given_name: str) -> None:
    name = parse_file_name(given_name)
    assert {char for char in name if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}} <= set(JOINERS)
    assert parse_file_name(name) == name
    for place, char in enumerate(name):
        if char in JOINERS:
            assert {name[place - 1], name[place + 1]} <= set("é中👩")


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\u2066a\u2069\u200b\ufeffb\u00ad.txt", "ab.txt"),
        ("pass\u200dword.txt", "password.txt"),
        ("👩\u200d💻.png", "👩\u200d💻.png"),
        ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),
        ("中\u200d", "中"),
        ("中\u200d\u3000", "中"),
        ("e\u202e\u0301", "é"),
        ("\u200d\u200c", "file"),
        ("中" * 254 + "\u200d中", "中" * 254),
    ],
)
def test_what_nobody_sees_is_left_out_of_names(given_name: str, name: str) -> None:
    assert parse_file_name(given_name) == name


@pytest.mark.parametrize("given_name", ["", " ", "\x00\n", "\u2028", "\ud800", "\u202e", "\u200d"])
def test_without_a_name_a_file_is_called_file(given_name: str) -> None:
    assert parse_file_name(given_name) == "file"


@given(NAMES.map(parse_file_name), KINDS)
def test_a_safe_name_is_one_segment_of_any_path(name: str, kind: FileKind) -> None:
    safe = safe_name(name, kind)
    assert PurePosixPath(safe).name == safe
    assert PureWindowsPath(safe).name == safe
    assert safe.strip(". ") == safe
    assert len(safe) <= LONGEST_SAFE_NAME + 10
    assert not set(safe) & set("/\\%?#&;'\"<>|:* \x00")
    assert unquote(quote(safe, safe="")) == safe


@given(NAMES.map(parse_file_name), KINDS)
def test_a_safe_name_tells_what_the_content_is(name: str, kind: FileKind) -> None:
    extension = safe_name(name, kind).rpartition(".")[2]
    honest = {kind.value, *{"html": {"htm"}, "md": {"markdown"}, "csv": {"tsv"}, "jpg": {"jpeg"}}.get(kind.value, ())}
    assert extension in honest


@given(NAMES.map(parse_file_name), KINDS)
def test_a_safe_name_stays_as_it_is(name: str, kind: FileKind) -> None:
    safe = safe_name(name, kind)
    assert safe_name(safe, kind) == safe


@pytest.mark.parametrize(
    ("name", "kind", "safe"),
    [
        ("报告 2026.pdf", FileKind.PDF, "报告_2026.pdf"),
        ("evil.exe", FileKind.TEXT, "evil.exe.txt"),
        ("photo.JPEG", FileKind.JPEG, "photo.jpeg"),
        ("index.html", FileKind.TEXT, "index.html.txt"),
        ("../../etc/passwd", FileKind.TEXT, "passwd.txt"),
        ("C:\\Users\\x\\a.csv", FileKind.CSV, "a.csv"),
        (".pdf", FileKind.PDF, "file.pdf"),
        ("...", FileKind.GIF, "file.gif"),
        ("a" * 300, FileKind.JSON, "a" * 100 + ".json"),
    ],
)
def test_safe_names_by_example(name: str, kind: FileKind, safe: str) -> None:
    assert safe_name(name, kind) == safe


def test_every_kind_has_a_media_type_and_nothing_that_runs_is_shown() -> None:
    assert set(MEDIA_TYPES) == set(FileKind)
    assert {kind for kind in FileKind if kind.is_image} == IMAGES == SHOWN_BY_BROWSERS - {FileKind.PDF}
    assert all(kind.media_type.startswith("image/") for kind in IMAGES)


@given(kept=st.integers(0, 10**12), limit=st.integers(1, 10**12), size=st.integers(0, 10**12))
def test_what_is_kept_never_passes_the_quota(kept: int, limit: int, size: int) -> None:
    quota = UploadQuota(kept_bytes=limit)
    if kept + size <= limit:
        Uploaded(kept).refuse_beyond(quota, size, NOW)
        return
    with pytest.raises(TooLarge, match=f"{limit:,}") as refused:
        Uploaded(kept).refuse_beyond(quota, size, NOW)
    assert refused.value.code == "upload_quota_exceeded"


@given(recent=st.integers(0, 100), limit=st.integers(1, 100), age=st.integers(0, 3600))
def test_who_uploaded_too_often_is_told_when_there_is_room(recent: int, limit: int, age: int) -> None:
    oldest = NOW - timedelta(seconds=age) if recent else None
    quota = UploadQuota(uploads_per_hour=limit)
    if recent < limit:
        Uploaded(0, recent, oldest).refuse_beyond(quota, 1, NOW)
        return
    with pytest.raises(TooManyRequests) as refused:
        Uploaded(0, recent, oldest).refuse_beyond(quota, 1, NOW)
    assert refused.value.retry_after == max(1, UPLOAD_WINDOW.total_seconds() - age)


@given(st.integers(0, 10**15), st.integers(0, 10**6), st.integers(0, 10**15))
def test_without_a_quota_nothing_is_refused(kept: int, recent: int, size: int) -> None:
    Uploaded(kept, recent, NOW).refuse_beyond(UploadQuota(), size, NOW)
    assert not UploadQuota().is_limited
    assert UploadQuota(1).is_limited
    assert UploadQuota(uploads_per_hour=1).is_limited


@given(NAMES)
def test_two_ways_to_write_a_letter_are_one_name(name: str) -> None:
    assume("\ud800" not in name)
    assert parse_file_name(unicodedata.normalize("NFD", name[:80])) == parse_file_name(name[:80])


@given(st.lists(st.text("ab.\ufdfa", max_size=5), min_size=1, max_size=4), st.sampled_from(["/", "\\"]))
def test_what_follows_the_last_folder_is_the_name(parts: list[str], separator: str) -> None:
    assert without_folders(separator.join(parts)) == parts[-1]


def test_a_name_without_folders_takes_no_longer_for_being_long() -> None:
    """A pattern that begins anew at each character would take hours for this."""
    assert without_folders("a" * 3_000_000) == "a" * 3_000_000
