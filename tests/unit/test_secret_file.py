"""The secrets of the embedded mode: made once, whole, and for the owner alone."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from adapters.security import JwtIssuer, SecretFileRefused, read_or_make_secret_keys


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secret_keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_start_makes_a_secret_and_the_next_ones_read_it(tmp_path: Path) -> None:
    made = read_or_make_secret_keys(tmp_path / "data")
    assert made == read_or_make_secret_keys(tmp_path / "data")
    assert mode_of(tmp_path / "data" / "secret_keys") == 0o600
    assert os.listdir(tmp_path / "data") == ["secret_keys"]
    JwtIssuer(made)


def test_two_installations_have_different_secrets(tmp_path: Path) -> None:
    assert read_or_make_secret_keys(tmp_path / "a") != read_or_make_secret_keys(tmp_path / "b")


def test_first_starts_at_the_same_moment_agree_threads(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(read_or_make_secret_keys, [tmp_path / "data"] * 64))
    assert len(found) == 1


def test_first_starts_at_the_same_moment_agree_processes(tmp_path: Path) -> None:
    with get_context("spawn").Pool(4) as processes:
        found = set(processes.map(read_or_make_secret_keys, [tmp_path / "data"] * 12, chunksize=1))
    assert len(found) == 1
    assert os.listdir(tmp_path / "data") == ["secret_keys"]


def test_a_file_that_others_can_read_is_tightened(tmp_path: Path) -> None:
    path = write(tmp_path, "one\n", 0o644)
    assert read_or_make_secret_keys(tmp_path) == ("one",)
    assert mode_of(path) == 0o600


@pytest.mark.parametrize("mode", [0o666, 0o622, 0o620])
def test_a_file_that_others_could_write_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, "one\n", mode)
    with pytest.raises(SecretFileRefused, match="chmod 600"):
        read_or_make_secret_keys(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs\n")
    (tmp_path / "secret_keys").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretFileRefused):
        read_or_make_secret_keys(tmp_path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret_keys").mkdir()
    with pytest.raises(SecretFileRefused):
        read_or_make_secret_keys(tmp_path)


@pytest.mark.parametrize("text", ["", "\n\n", "# only words\n"])
def test_an_empty_file_is_refused_and_not_silently_replaced(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SecretFileRefused, match="holds no secret"):
        read_or_make_secret_keys(tmp_path)


def test_several_secrets_keep_their_order(tmp_path: Path) -> None:
    write(tmp_path, "# rotated in May\nnew\n\n  old  \n")
    assert read_or_make_secret_keys(tmp_path) == ("new", "old")


def test_a_place_that_is_no_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SecretFileRefused, match="secret_keys"):
        read_or_make_secret_keys(tmp_path / "data")
