"""The commands, as a person or a script calls them."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from entrypoints.cli import main


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("agentchat ")


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "create-admin" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["dance"], ["serve", "--port", "x"], ["create-admin"]])
def test_a_wrong_call_is_a_usage_mistake(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["worker"],
        ["migrate"],
        ["rotate-keys"],
        ["config"],
        ["create-admin", "root", "--password-stdin"],
        ["doctor"],
    ],
)
def test_every_command_reports_all_mistakes_of_the_configuration(
    command: list[str], empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_folder / "agentchat.toml").write_text("port = 'x'\n[storage]\nkind = 's3'\n")
    assert main(command) == 2
    assert [line.split(": ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "agentchat.toml:1",
        "agentchat.toml:3",
    ]


def test_an_option_that_is_out_of_range_is_named_as_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--workers", "3"]) == 2
    assert capsys.readouterr().err.startswith("--workers: workers: must be 1 on SQLite")


def test_config_shows_what_is_in_force(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AGENTCHAT_PORT", "9000")
    assert main(["config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["port"] == {"value": 9000, "from": "AGENTCHAT_PORT"}


def test_the_doctors_address_must_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--url", "chat.example.org"]) == 2
    assert capsys.readouterr().err.startswith("--url: must be an address such as https://")


def test_the_doctor_fails_where_nothing_runs(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTCHAT_PORT", str(free_port()))
    assert main(["doctor", "--json"]) == 1
    found = {finding["name"]: finding["status"] for finding in json.loads(capsys.readouterr().out)}
    assert (found["storage"], found["server"], found["login"]) == ("ok", "fail", "skip")
    assert list(empty_folder.iterdir()) == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_migrate_can_be_repeated(empty_folder: Path) -> None:
    assert [main(["migrate"]), main(["migrate"])] == [0, 0]
    assert (empty_folder / "data" / "agentchat.db").exists()


def test_an_admin_is_made_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def create() -> int:
        with Path("password").open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            return main(["create-admin", "root", "--password-stdin"])

    Path("password").write_text("correct horse\n")
    assert create() == 0
    assert "Created the admin root." in capsys.readouterr().out
    assert create() == 1
    assert "taken" in capsys.readouterr().err


def test_two_passwords_that_differ_make_no_admin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["one", "two"])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))
    assert main(["create-admin", "root"]) == 2
    assert "differ" in capsys.readouterr().err


def test_a_port_in_use_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"can't listen on 127.0.0.1 port {port}" in message
    assert "--port" in message


def test_a_light_command_imports_no_framework() -> None:
    program = (
        "import sys; from entrypoints.cli import main; main(['config']); "
        "heavy = {'litestar', 'sqlalchemy', 'uvicorn', 'openai', 'anthropic', 'dishka'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
