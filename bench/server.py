"""Our server under measurement: one process with its own data folder, and what a client needs of its API."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from processes import rss_mb, start, stop, wait_ready

AGENTCHAT = Path(sys.executable).with_name("agentchat")
API = "/api/v1"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Server:
    folder: Path
    provider_url: str
    database_url: str | None = None
    process: subprocess.Popen[bytes] | None = None
    token: str = ""
    more: dict[str, str] = field(default_factory=dict)
    """Further settings, as variables without their prefix."""

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "server.log"

    @property
    def environment(self) -> dict[str, str]:
        model = {"provider": "openai_compatible", "base_url": self.provider_url, "api_key": "x", "model": "fake"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTCHAT_")}
        ours = {
            "AGENTCHAT_DATA_DIR": str(self.folder / "data"),
            "AGENTCHAT_MODELS": json.dumps({"fake": model}),
            "AGENTCHAT_DEFAULT_MODEL": "fake",
            "AGENTCHAT_MAX_RUNS_PER_USER": "1000",
        }
        if self.database_url:
            ours["AGENTCHAT_DATABASE_URL"] = self.database_url
            ours["AGENTCHAT_SECRET_KEYS"] = json.dumps(["bench-only-" + "0" * 32])
        return kept | ours | {f"AGENTCHAT_{name}": value for name, value in self.more.items()}

    def migrate(self) -> None:
        command = [AGENTCHAT, "migrate"]
        subprocess.run(command, env=self.environment, cwd=self.folder, check=True, capture_output=True)

    def start(self) -> float:
        """Seconds until it says that it is ready."""
        began = time.monotonic()
        command = [str(AGENTCHAT), "serve", "--port", str(self.port)]
        self.process = start(command, self.log, self.environment, self.folder)
        wait_ready(f"{self.url}/health/ready", self.process, self.log)
        return time.monotonic() - began

    def stop(self) -> None:
        if self.process:
            stop(self.process)
            self.process = None

    def complain(self) -> None:
        """Show what the server logged beyond its requests."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        unusual = [
            line for line in lines if '"level":"error"' in line or '"level": "error"' in line or line[:9] == "Traceback"
        ]
        for line in unusual[-20:]:
            print(line[:4000], file=sys.stderr)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def idle_rss_mb(self) -> float:
        time.sleep(3)
        return rss_mb(self.pid)

    def call(self, method: str, path: str, body: object = None) -> object:
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + API + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["data"]

    def log_in(self) -> None:
        who = {"user_name": "bench", "user_password": "bench-password"}
        self.call("POST", "/user/register", who)
        self.token = self.call("POST", "/user/login", who)["access_token"]

    def add_agents(self, count: int) -> None:
        """Until the list holds so many, built-in ones included."""
        for number in range(count - len(self.call("GET", "/agent"))):
            self.call("POST", "/agent", {"name": f"agent {number}", "system_prompt": "Be brief. " * 20})
        listed = len(self.call("GET", "/agent"))
        assert listed == count, f"the list holds {listed} agents"

    def check_stored(self, dialog_ids: list[str], tokens: int) -> None:
        """Every dialog holds question and answer in turn, and every answer all its tokens."""
        for dialog_id in dialog_ids:
            messages = self.call("GET", f"/history?dialog_id={dialog_id}")
            roles = [message["role"] for message in messages]
            assert roles, f"{dialog_id} is empty"
            assert roles == ["user", "assistant"] * (len(roles) // 2), f"{dialog_id}: {roles}"
            for message in messages[1::2]:
                found = message["content"].count("@ ")
                assert message["status"] == "complete", f"{dialog_id}: {message['status']}"
                assert found == tokens, f"{dialog_id}: {found} of {tokens} tokens are stored"
