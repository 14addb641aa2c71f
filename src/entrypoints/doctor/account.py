"""A temporary account, made in the database as `create-admin` makes one, and used over HTTP. It never outlives us."""

import secrets
from collections.abc import Sequence
from typing import Final

from dishka import AsyncContainer

from application.accounts.users import NewAccount, RegisterUser
from application.ports.persistence import Transactions
from domain.accounts.users import UserName
from domain.errors import DomainError
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, skip
from entrypoints.doctor.remote import Answer, Unreachable
from entrypoints.doctor.subject import Subject, Visitor
from entrypoints.graph.container import make_container
from entrypoints.settings.models import OFFLINE

NAME: Final = "login"
PREFIX: Final = "doctor-"
MEND_OTHER_DATABASE: Final = (
    "run the doctor where the server runs, in its folder, with its agentchat.toml and AGENTCHAT_* variables "
    "(data_dir, database_url)"
)


async def logged_in(subject: Subject) -> Sequence[Finding]:
    offline = subject.settings.models.get(OFFLINE)
    if offline is None or offline.provider != OFFLINE:
        return [skip(NAME, f"the model {OFFLINE}, which answers without a provider, is disabled or another's")]
    container = make_container(subject.settings)
    subject.later.push_async_callback(container.close)
    name, password = PREFIX + secrets.token_hex(6), secrets.token_hex(64)
    subject.later.push_async_callback(removed, container, name, subject.undone)
    register = await container.get(RegisterUser)
    try:
        await register(NewAccount(name, password))
    except DomainError as error:
        return [fail(NAME, f"no account can be made in the database: {error.message}", "see the check database")]
    try:
        login = await subject.remote.post("/api/v1/user/login", {"user_name": name, "user_password": password})
        if refusal := login_refused(login):
            return [refusal]
        token = str(login.data["access_token"])
        body = {"name": "doctor", "llm_id": OFFLINE}
        agent = await subject.remote.post("/api/v1/agent", body, token)
    except Unreachable as error:
        return [fail(NAME, f"the connection broke: {error}", "look into the server's and the proxy's log")]
    if agent.status != 200:
        return [agent_refused(agent)]
    subject.visitor = Visitor(token, str(agent.data["agent_id"]))
    return [ok(NAME, f"a temporary account logs in within {milliseconds(login.seconds)}")]


def login_refused(answer: Answer) -> Finding | None:
    if answer.status == 200 and "access_token" in answer.data:
        return None
    if answer.status == 401:
        message = "the server does not know an account that was just made: it uses another database than these settings"
        return fail(NAME, message, MEND_OTHER_DATABASE)
    if answer.status == 429:
        mend = "wait a few minutes; behind a proxy, set trusted_proxies, so that clients are told apart"
        return fail(NAME, "too many failed logins came from this address (status 429)", mend)
    return fail(NAME, f"the login fails (status {answer.status} {answer.code})".rstrip(), "look into the server's log")


def agent_refused(answer: Answer) -> Finding:
    if answer.status == 401:
        mend = "let the proxy pass the header Authorization on (nginx: no other proxy_set_header Authorization)"
        return fail(NAME, "the access token of the login is refused at once (status 401)", mend)
    message = f"an agent of the model {OFFLINE} can't be made (status {answer.status} {answer.code})"
    return fail(NAME, message.rstrip(), "restart the server, so that it reads the same settings; see its log")


async def removed(container: AsyncContainer, name: str, undone: list[Finding]) -> None:
    """With all that is its own. It is looked for by name: we may have been stopped while it was made."""
    try:
        transactions = await container.get(Transactions)
        async with transactions.begin() as tx:
            user = await tx.users.by_name(UserName.parse(name))
            if user is not None:
                await tx.users.remove(user.user_id)
    except Exception as error:  # noqa: BLE001 - the end of a program: what can't be removed is told
        why = error.message if isinstance(error, DomainError) else type(error).__name__
        mend = f"once the database is back, delete the row of users whose name_key is {name}"
        undone.append(fail("clean-up", f"the temporary account {name} could not be removed: {why}", mend))
