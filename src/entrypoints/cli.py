"""The command line. Nothing heavy is imported before the command that needs it."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

FAILED: Final = 1
MISUSED: Final = 2
MOST_PLACES: Final = 256

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when it failed, 2 when it was asked or configured wrongly."""
    given = parser().parse_args(arguments)
    if given.version:
        return version()
    if given.command is None:
        parser().print_help(sys.stderr)
        return MISUSED
    from domain.errors import DomainError
    from entrypoints.settings.loading import SettingsError

    run: Command = COMMANDS[given.command]
    try:
        return run(given)
    except SettingsError as error:
        return complain(MISUSED, *map(str, error.mistakes))
    except DomainError as error:
        return complain(FAILED, error.message)
    except KeyboardInterrupt:
        return complain(FAILED, "interrupted")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="agentchat", description="The server behind agent chat.")
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    serve_options = commands.add_parser("serve", help="serve the API; without configuration on SQLite, port 8000")
    serve_options.add_argument("--host", help="address to listen on")
    serve_options.add_argument("--port", type=int, help="port to listen on")
    serve_options.add_argument("--workers", type=int, help="number of processes; more than one needs Postgres")
    worker_options = commands.add_parser("worker", help="read files, sum up and remember, beside servers on Postgres")
    worker_options.add_argument("--places", type=places, metavar="N", help="files at once; default: ingestion.places")
    commands.add_parser("migrate", help="bring the database's tables up to date")
    commands.add_parser("rotate-keys", help="seal others' secrets in the database under the first of secret_keys")
    admin = commands.add_parser("create-admin", help="make an account with the role admin")
    admin.add_argument("name", metavar="NAME")
    admin.add_argument("--email", metavar="E")
    admin.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    config_options = commands.add_parser("config", help="show the settings in force and where each came from")
    config_options.add_argument("--json", action="store_true", help="as JSON")
    doctor_options = commands.add_parser(
        "doctor", help="try the running set-up from end to end, and say what to change"
    )
    doctor_options.add_argument("--url", help="where clients reach the server; default: public_url, else host and port")
    doctor_options.add_argument("--json", action="store_true", help="as JSON")
    return top


def version() -> int:
    from importlib.metadata import version as installed

    return say(f"agentchat {installed('agentchat')}")


def serve(given: argparse.Namespace) -> int:
    from adapters.security import SecretFileRefused
    from entrypoints.logs import configure_logging
    from entrypoints.serving.server import CannotListen
    from entrypoints.serving.server import serve as run
    from entrypoints.settings.advice import advice
    from entrypoints.settings.loading import load_settings

    settings = load_settings(options=chosen(given, "host", "port", "workers"))
    configure_logging(settings.log_level, settings.log_format)
    for hint in advice(settings):
        warn(hint)
    try:
        return run(settings)
    except (CannotListen, SecretFileRefused) as error:
        return complain(FAILED, str(error))


def worker(given: argparse.Namespace) -> int:
    from msgspec import structs

    from entrypoints.logs import configure_logging
    from entrypoints.settings.advice import worker_advice
    from entrypoints.settings.loading import load_settings
    from entrypoints.worker import refuse_embedded, work

    settings = load_settings()
    if given.places is not None:
        settings = structs.replace(settings, ingestion=structs.replace(settings.ingestion, places=given.places))
    configure_logging(settings.log_level, settings.log_format)
    refuse_embedded(settings)
    for hint in worker_advice(settings):
        warn(hint)

    from entrypoints.graph.container import make_container

    return asyncio.run(work(settings, make_container))


def migrate(_given: argparse.Namespace) -> int:
    from entrypoints.logs import configure_logging
    from entrypoints.schema_ready import bring_up_to_date
    from entrypoints.settings.loading import load_settings

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    asyncio.run(bring_up_to_date(settings))
    return say("The database is up to date.")


def rotate_keys(_given: argparse.Namespace) -> int:
    from adapters.security import SecretFileRefused
    from entrypoints.key_rotation import is_complete, seal_anew, told
    from entrypoints.logs import configure_logging
    from entrypoints.settings.loading import load_settings

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    try:
        found = asyncio.run(seal_anew(settings))
    except SecretFileRefused as error:
        return complain(FAILED, str(error))
    return say("\n".join(told(found))) if is_complete(found) else complain(FAILED, *told(found))


def create_admin(given: argparse.Namespace) -> int:
    from entrypoints.logs import configure_logging
    from entrypoints.settings.loading import load_settings

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    password = read_password(from_stdin=given.password_stdin)
    if password is None:
        return complain(MISUSED, "The two passwords differ; nothing was changed.")

    from entrypoints.admin import make_admin

    asyncio.run(make_admin(settings, given.name, password, given.email))
    return say(f"Created the admin {given.name}.")


def config(given: argparse.Namespace) -> int:
    from entrypoints.settings.loading import load_settings
    from entrypoints.settings.show import as_json, as_table

    settings = load_settings()
    return say(as_json(settings) if given.json else as_table(settings))


def doctor(given: argparse.Namespace) -> int:
    from entrypoints.doctor.command import diagnose
    from entrypoints.logs import configure_logging
    from entrypoints.settings.loading import load_settings

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return diagnose(settings, given.url, as_json=given.json)


def places(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_PLACES:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {MOST_PLACES}")
    return int(text)


def chosen(given: argparse.Namespace, *names: str) -> Mapping[str, object]:
    return {name: value for name in names if (value := getattr(given, name)) is not None}


def read_password(*, from_stdin: bool) -> str | None:
    """None when the two entries differ."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    return first if getpass.getpass("Again: ") == first else None


def say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0


def complain(code: int, *lines: str) -> int:
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return code


def warn(text: str) -> None:
    import structlog

    structlog.get_logger("agentchat.serve").warning(text)


COMMANDS: Final[Mapping[str, Command]] = {
    "serve": serve,
    "worker": worker,
    "migrate": migrate,
    "rotate-keys": rotate_keys,
    "create-admin": create_admin,
    "config": config,
    "doctor": doctor,
}

if __name__ == "__main__":
    sys.exit(main())
