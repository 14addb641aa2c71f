"""Every check, in the order in which they run. A new one is a function from Subject to findings, and a line here."""

from typing import Final

from entrypoints.doctor import (
    account,
    address,
    bodies,
    clock,
    configuration,
    continuity,
    database,
    embedding,
    notifications,
    providers,
    server,
    storage,
    streaming,
    uploads,
)
from entrypoints.doctor.subject import Check

HEARTBEAT_PATIENCE: Final = continuity.LONGEST_HEARTBEAT + 6.0

CHECKS: Final = (
    Check("settings", configuration.settings_advised),
    Check("database", database.reachable, seconds=8),
    Check("schema", database.schema_current, needs=("database",)),
    Check("connections", database.enough_connections, needs=("database",)),
    Check("notifications", notifications.delivered, needs=("database",)),
    Check("clock", clock.agrees, needs=("database",)),
    Check("storage", storage.writable, seconds=10),
    Check("models", providers.keys_taken, seconds=8),
    Check("embedding", embedding.compares, seconds=10),
    Check("server", server.answers, seconds=8),
    Check("address", address.trusted, needs=("server",)),
    Check("body limit", bodies.uploads_pass, needs=("server",)),
    Check("input limit", bodies.questions_pass, needs=("server",), seconds=10),
    Check("login", account.logged_in, needs=("schema", "server"), seconds=8),
    Check("upload", uploads.comes_back, needs=("login",), seconds=10),
    Check("stream", streaming.flows, needs=("login",), seconds=12),
    Check("stop", continuity.stops, needs=("stream",)),
    Check("resume", continuity.resumes, needs=("stream",), seconds=8),
    Check("heartbeat", continuity.heartbeats, needs=("stream",), seconds=HEARTBEAT_PATIENCE),
)
