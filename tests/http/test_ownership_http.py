"""Several users do whatever they like, also with each other's ids: each sees and changes only what is theirs."""

from typing import Any
from urllib.parse import quote

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from domain.text import search_key
from http_answers import Client, Headers, Register, code_of, data_of

USERS = st.sampled_from(["ann", "bob", "cho"])
KINDS = st.sampled_from(["tool", "server"])
NAMED = {"tool": "en_name", "server": "server_name"}
CREATED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tool": ("POST", "/tool/create", {}),
    "server": ("POST", "/mcp_server", {"type": "sse", "url": "https://mcp.example.org/"}),
}
NAMES = st.sampled_from(["a", "A", "b", "ß", "SS", "100%", "_", "名字"])


def holds(names: dict[str, str], name: str, but: str = "") -> bool:
    return any(search_key(other) == search_key(name) for one, other in names.items() if one != but)


def machine_of(client: Client, headers: dict[str, Headers]) -> type[RuleBasedStateMachine]:
    class Users(RuleBasedStateMachine):
        """`agents`, `dialogs` and `bases` are what the server must answer from."""

        agent_ids: Bundle[str] = Bundle("agent_ids")
        dialog_ids: Bundle[str] = Bundle("dialog_ids")
        base_ids: Bundle[str] = Bundle("base_ids")
        tool_ids: Bundle[str] = Bundle("tool_ids")

        def __init__(self) -> None:
            super().__init__()
            self.agents: dict[str, dict[str, str]] = {user: {} for user in headers}
            self.dialogs: dict[str, dict[str, str]] = {user: {} for user in headers}
            self.bases: dict[str, dict[str, str]] = {user: {} for user in headers}
            self.tools: dict[str, dict[str, str]] = {user: {} for user in headers}
            """Tools and MCP servers, which differ in their addresses alone."""
            self.touched: set[str] = set()

        def call(self, user: str, method: str, path: str, **body: Any) -> Any:
            if method != "GET":
                self.touched.add(path.split("/")[1])
            return client.request(method, f"/api/v1{path}", json=body or None, headers=headers[user])

        def taken(self, user: str, name: str, but: str = "") -> bool:
            return holds(self.agents[user], name, but)

        @rule(target=agent_ids, user=USERS, name=NAMES)
        def create_agent(self, user: str, name: str) -> str:
            response = self.call(user, "POST", "/agent", name=name)
            if self.taken(user, name):
                assert code_of(response, 409) == "agent_name_taken"
                return "default"
            agent_id: str = data_of(response)["agent_id"]
            self.agents[user][agent_id] = name
            return agent_id

        @rule(user=USERS, agent_id=agent_ids, name=NAMES)
        def rename_agent(self, user: str, agent_id: str, name: str) -> None:
            response = self.call(user, "PUT", "/agent", agent_id=agent_id, name=name)
            if agent_id == "default":
                assert code_of(response, 403) == "agent_built_in"
            elif agent_id not in self.agents[user]:
                assert code_of(response, 404) == "agent_not_found"
            elif self.taken(user, name, but=agent_id):
                assert code_of(response, 409) == "agent_name_taken"
            else:
                assert data_of(response)["name"] == name
                self.agents[user][agent_id] = name

        @rule(user=USERS, agent_id=agent_ids)
        def delete_agent(self, user: str, agent_id: str) -> None:
            response = self.call(user, "DELETE", "/agent", agent_id=agent_id)
            if agent_id == "default":
                assert code_of(response, 403) == "agent_built_in"
            elif agent_id not in self.agents[user]:
                assert code_of(response, 404) == "agent_not_found"
            else:
                data_of(response)
                del self.agents[user][agent_id]

        @rule(user=USERS, agent_id=agent_ids)
        def show_agent(self, user: str, agent_id: str) -> None:
            response = self.call(user, "GET", f"/agent/{agent_id}")
            versions = self.call(user, "GET", f"/agent/{agent_id}/versions?limit=1")
            document = self.call(user, "GET", f"/agent/{agent_id}/export")
            if agent_id in self.agents[user]:
                assert data_of(response)["name"] == self.agents[user][agent_id]
                assert data_of(versions)[0]["version"] == data_of(response)["version"]
                assert document.json()["agent"]["name"] == self.agents[user][agent_id]
            elif agent_id != "default":
                assert {code_of(one, 404) for one in (response, versions, document)} == {"agent_not_found"}

        @rule(user=USERS, agent_id=agent_ids)
        def roll_back_agent(self, user: str, agent_id: str) -> None:
            first = self.call(user, "GET", f"/agent/{agent_id}/versions/1")
            response = self.call(user, "POST", f"/agent/{agent_id}/rollback", version=1)
            if agent_id == "default":
                assert code_of(response, 403) == "agent_built_in"
            elif agent_id not in self.agents[user]:
                assert {code_of(one, 404) for one in (first, response)} == {"agent_not_found"}
            elif self.taken(user, name := data_of(first)["name"], but=agent_id):
                assert code_of(response, 409) == "agent_name_taken"
            else:
                assert data_of(response)["agent"]["name"] == name
                self.agents[user][agent_id] = name

        @rule(target=agent_ids, user=USERS, agent_id=agent_ids, name=NAMES)
        def copy_agent(self, user: str, agent_id: str, name: str) -> str:
            document = self.call(user, "GET", f"/agent/{agent_id}/export")
            if document.status_code == 404:
                return "default"
            response = self.call(user, "POST", f"/agent/import?name={quote(name)}", **document.json())
            if self.taken(user, name):
                assert code_of(response, 409) == "agent_name_taken"
                return "default"
            copy: str = data_of(response)["agent"]["agent_id"]
            self.agents[user][copy] = name
            return copy

        @rule(user=USERS, words=NAMES)
        def search_agents(self, user: str, words: str) -> None:
            found = data_of(self.call(user, "POST", "/agent/search", name=words))
            mine = {one["agent_id"] for one in found if one["is_custom"]}
            key = search_key(words)
            assert mine == {agent_id for agent_id, name in self.agents[user].items() if key in search_key(name)}

        @rule(target=dialog_ids, user=USERS, agent_id=agent_ids, name=NAMES)
        def create_dialog(self, user: str, agent_id: str, name: str) -> str:
            response = self.call(user, "POST", "/dialog", agent_id=agent_id, name=name)
            if agent_id != "default" and agent_id not in self.agents[user]:
                assert code_of(response, 404) == "agent_not_found"
                return "nothing"
            dialog_id: str = data_of(response)["dialog_id"]
            self.dialogs[user][dialog_id] = name
            return dialog_id

        @rule(user=USERS, dialog_id=dialog_ids, name=NAMES)
        def rename_dialog(self, user: str, dialog_id: str, name: str) -> None:
            response = self.call(user, "PUT", "/dialog", dialog_id=dialog_id, name=name)
            if self.mine(user, dialog_id, response):
                self.dialogs[user][dialog_id] = name

        @rule(user=USERS, dialog_id=dialog_ids)
        def show_dialog(self, user: str, dialog_id: str) -> None:
            if self.mine(user, dialog_id, shown := self.call(user, "GET", f"/dialog/{dialog_id}")):
                assert data_of(shown)["name"] == self.dialogs[user][dialog_id]
            if self.mine(user, dialog_id, history := self.call(user, "GET", f"/history?dialog_id={dialog_id}")):
                assert data_of(history) == []

        @rule(user=USERS, dialog_id=consumes(dialog_ids))
        def delete_dialog(self, user: str, dialog_id: str) -> None:
            if self.mine(user, dialog_id, self.call(user, "DELETE", "/dialog", dialog_id=dialog_id)):
                del self.dialogs[user][dialog_id]

        @rule(target=base_ids, user=USERS, name=NAMES)
        def create_base(self, user: str, name: str) -> str:
            response = self.call(user, "POST", "/knowledge/create", knowledge_name=name)
            if holds(self.bases[user], name):
                assert code_of(response, 409) == "knowledge_name_taken"
                return "nothing"
            base_id: str = data_of(response)["knowledge_id"]
            self.bases[user][base_id] = name
            return base_id

        @rule(user=USERS, base_id=base_ids, name=NAMES)
        def rename_base(self, user: str, base_id: str, name: str) -> None:
            response = self.call(user, "PUT", "/knowledge/update", knowledge_id=base_id, knowledge_name=name)
            if base_id not in self.bases[user]:
                assert code_of(response, 404) == "knowledge_not_found"
            elif holds(self.bases[user], name, base_id):
                assert code_of(response, 409) == "knowledge_name_taken"
            else:
                assert data_of(response)["name"] == name
                self.bases[user][base_id] = name

        @rule(user=USERS, base_id=base_ids)
        def look_at_base(self, user: str, base_id: str) -> None:
            shown = self.call(user, "GET", f"/knowledge/{base_id}")
            files = self.call(user, "GET", f"/knowledge_file/select?knowledge_id={base_id}")
            searched = self.call(user, "POST", "/knowledge/retrieval", knowledge_id=base_id, query="a")
            if base_id in self.bases[user]:
                assert data_of(shown)["name"] == self.bases[user][base_id]
                assert data_of(files) == searched.json()["data"] == []
            else:
                assert {code_of(one, 404) for one in (shown, files, searched)} == {"knowledge_not_found"}

        @rule(user=USERS, base_id=base_ids)
        def delete_base(self, user: str, base_id: str) -> None:
            response = self.call(user, "DELETE", "/knowledge/delete", knowledge_id=base_id)
            if base_id in self.bases[user]:
                data_of(response)
                del self.bases[user][base_id]
            else:
                assert code_of(response, 404) == "knowledge_not_found"

        @rule(target=tool_ids, user=USERS, kind=KINDS, name=NAMES)
        def create_tool(self, user: str, kind: str, name: str) -> str:
            verb, path, fields = CREATED[kind]
            made = data_of(self.call(user, verb, path, **{NAMED[kind]: name}, **fields))
            tool_id: str = made[f"{kind}_id"]
            self.tools[user][tool_id] = name
            return f"{kind} {tool_id}"

        @rule(user=USERS, tool_id=tool_ids, name=NAMES)
        def rename_tool(self, user: str, tool_id: str, name: str) -> None:
            kind, identifier = tool_id.split()
            path = "/tool/update" if kind == "tool" else "/mcp_server"
            renamed = self.call(user, "PUT", path, **{f"{kind}_id": identifier, NAMED[kind]: name})
            if self.has(user, kind, identifier, renamed):
                self.tools[user][identifier] = name

        @rule(user=USERS, tool_id=tool_ids)
        def look_at_tool(self, user: str, tool_id: str) -> None:
            kind, identifier = tool_id.split()
            path = "/tool" if kind == "tool" else "/mcp_server"
            shown = self.call(user, "GET", f"{path}/{identifier}")
            if self.has(user, kind, identifier, shown):
                assert data_of(shown)[NAMED[kind]] == self.tools[user][identifier]
            links: dict[str, Any] = {"tool_ids" if kind == "tool" else "mcp_ids": [identifier]}
            linked = self.call(user, "POST", "/agent", name=f"with {identifier}", **links)
            if self.has(user, kind, identifier, linked):
                data_of(self.call(user, "DELETE", "/agent", agent_id=data_of(linked)["agent_id"]))

        @rule(user=USERS, tool_id=consumes(tool_ids))
        def delete_tool(self, user: str, tool_id: str) -> None:
            kind, identifier = tool_id.split()
            path = "/tool/delete" if kind == "tool" else "/mcp_server"
            if self.has(user, kind, identifier, self.call(user, "DELETE", path, **{f"{kind}_id": identifier})):
                del self.tools[user][identifier]

        @rule(user=USERS)
        def list_tools(self, user: str) -> None:
            """A rule and not an invariant: that would ask after each step, of all three."""
            tools = {one["tool_id"]: one["en_name"] for one in data_of(self.call(user, "POST", "/tool/own"))}
            servers = data_of(self.call(user, "GET", "/mcp_server"))
            assert tools | {one["server_id"]: one["server_name"] for one in servers} == self.tools[user]

        def has(self, user: str, kind: str, identifier: str, response: Any) -> bool:
            if identifier in self.tools[user]:
                data_of(response)
                return True
            assert code_of(response, 404) == ("tool_not_found" if kind == "tool" else "mcp_server_not_found")
            return False

        def mine(self, user: str, dialog_id: str, response: Any) -> bool:
            if dialog_id in self.dialogs[user]:
                data_of(response)
                return True
            assert code_of(response, 404) == "dialog_not_found"
            return False

        @invariant()
        def everyone_sees_what_is_theirs(self) -> None:
            """Of the kinds that the step may have changed: what it did to others shows in the end, if not before."""
            touched, self.touched = self.touched, set()
            for user in headers:
                if "agent" in touched:
                    agents = [one for one in data_of(self.call(user, "GET", "/agent")) if one["is_custom"]]
                    assert {one["agent_id"]: one["name"] for one in agents} == self.agents[user]
                    assert len({one["user_id"] for one in agents}) <= 1
                if "dialog" in touched:
                    dialogs = data_of(self.call(user, "GET", "/dialog/list"))
                    assert {one["dialog_id"]: one["name"] for one in dialogs} == self.dialogs[user]
                if "knowledge" in touched:
                    bases = data_of(self.call(user, "GET", "/knowledge/select"))
                    assert {one["knowledge_id"]: one["name"] for one in bases} == self.bases[user]

        def teardown(self) -> None:
            self.touched = {"agent", "dialog", "knowledge"}
            self.everyone_sees_what_is_theirs()
            for user in headers:
                self.list_tools(user)
                for agent_id in self.agents[user]:
                    data_of(self.call(user, "DELETE", "/agent", agent_id=agent_id))
                for dialog_id in self.dialogs[user]:
                    data_of(self.call(user, "DELETE", "/dialog", dialog_id=dialog_id))
                for base_id in self.bases[user]:
                    data_of(self.call(user, "DELETE", "/knowledge/delete", knowledge_id=base_id))
                for one in data_of(self.call(user, "POST", "/tool/own")):
                    data_of(self.call(user, "DELETE", "/tool/delete", tool_id=one["tool_id"]))
                for one in data_of(self.call(user, "GET", "/mcp_server")):
                    data_of(self.call(user, "DELETE", "/mcp_server", server_id=one["server_id"]))

    return Users


def test_nobody_ever_sees_another_s_object(client: Client, register: Register) -> None:
    headers = {name: register(name) for name in ("ann", "bob", "cho")}
    limits = settings(max_examples=12, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(machine_of(client, headers), settings=limits)
