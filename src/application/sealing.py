"""What lies sealed in the database: what tools prove themselves with, where MCP servers are, models' keys."""

import json
from dataclasses import dataclass, replace
from typing import Final

from application.ports.secret_box import SecretBox, SecretBroken
from application.ports.tools import StoredServer
from domain.errors import Conflict
from domain.models.models import ModelSpec, key_id_of
from domain.models.own_models import ELLIPSIS, OwnModel, masked, place_of
from domain.tools.credentials import Credentials
from domain.tools.mcp_servers import McpAddress, McpServer
from domain.tools.user_tools import AuthDraft, SealedAuth

KEY_LOST: Final = "what it is reached with was sealed under a key that this server no longer has: send it again"


@dataclass(frozen=True, slots=True)
class Seals:
    """The whole of a secret is one sealed text: nobody puts a value beside another name."""

    box: SecretBox

    def auth(self, draft: AuthDraft) -> SealedAuth:
        """Raises InvalidValue."""
        credentials = draft.credentials()
        told = {"headers": credentials.headers, "query": credentials.query}
        return SealedAuth(draft.type, self.box.seal(json.dumps(told)))

    def credentials(self, auth: SealedAuth | None) -> Credentials:
        """Raises SecretBroken."""
        if auth is None:
            return Credentials()
        told = json.loads(self.box.open(auth.sealed))
        return Credentials(_pairs(told["headers"]), _pairs(told["query"]))

    def server(self, server: McpServer) -> StoredServer:
        address = server.address
        told = {
            "url": address.url,
            "headers": address.headers,
            "command": address.command,
            "args": address.args,
            "env": address.env,
        }
        return StoredServer(
            server.server_id,
            server.user_id,
            server.name,
            address.transport,
            self.box.seal(json.dumps(told)),
            server.created_at,
            server.updated_at,
            server.description,
            server.tools,
            server.status,
        )

    def changed(self, stored: StoredServer, before: McpServer, after: McpServer) -> StoredServer:
        """An address that stays is not sealed again: it may be one that can't be opened."""
        if after.address != before.address:
            return self.server(after)
        return replace(stored, name=after.name, description=after.description, updated_at=after.updated_at)

    def opened(self, stored: StoredServer) -> McpServer:
        """Raises Conflict `secret_broken`, and `secret_needed` for one that came without its secrets."""
        try:
            address = self._address(stored)
        except SecretBroken as problem:
            raise Conflict("secret_broken", f"The MCP server {stored.name!r} can't be used: {KEY_LOST}.") from problem
        if lacking := address.lacks:
            wanted = f"it came without {lacking}: send them"
            raise Conflict("secret_needed", f"The MCP server {stored.name!r} can't be used: {wanted}.")
        return _server(stored, address)

    def shown(self, stored: StoredServer) -> McpServer:
        """Without its address, and saying so in its status, where that can't be opened."""
        try:
            return _server(stored, self._address(stored))
        except SecretBroken:
            return replace(_server(stored, McpAddress(stored.transport)), status=KEY_LOST)

    def with_key(self, model: OwnModel, key: str) -> OwnModel:
        """Sealed together with the place that it is for."""
        told = {"key": key, "place": model.place}
        return replace(model, sealed_key=self.box.seal(json.dumps(told)) if key else "")

    def key(self, model: OwnModel | ModelSpec) -> str:
        """Raises SecretBroken."""
        if not model.sealed_key:
            return ""
        told = json.loads(self.box.open(model.sealed_key))
        if told["place"] != json.loads(json.dumps(place_of(model.provider, model.base_url))):
            raise SecretBroken
        key: str = told["key"]
        return key

    def model(self, model: OwnModel) -> ModelSpec:
        """As it can be opened, or with the reason why it can't."""
        key, reason = "", None
        try:
            key = self.key(model)
        except SecretBroken:
            reason = f"The model {model.model!r} can't be used: {KEY_LOST}."
        return model.spec(key_id_of(model.provider, model.base_url, key, model.user_id), reason)

    def masked_key(self, model: OwnModel) -> str:
        try:
            return masked(self.key(model))
        except SecretBroken:
            return ELLIPSIS

    def _address(self, stored: StoredServer) -> McpAddress:
        told = json.loads(self.box.open(stored.sealed))
        headers, env = _pairs(told["headers"]), _pairs(told["env"])
        return McpAddress(stored.transport, told["url"], headers, told["command"], tuple(told["args"]), env)


def _server(stored: StoredServer, address: McpAddress) -> McpServer:
    return McpServer(
        stored.server_id,
        stored.user_id,
        stored.name,
        address,
        stored.created_at,
        stored.updated_at,
        stored.description,
        stored.tools,
        stored.status,
    )


def _pairs(told: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in told)
