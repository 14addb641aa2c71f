"""The client examples of the API reference, as they are printed there; only the port is the test's."""

import asyncio
import contextlib
import io
import json
import subprocess
from pathlib import Path

import httpx
import pytest

from documents_corpus.corpus_pdf import drawn, lines
from live.live_server import LiveServer
from live.s3_settings import s3

REGISTER = """
curl -X POST "http://localhost:8000/api/v1/user/register" \\
-H "Content-Type: application/json" \\
-d '{"user_name": "test", "user_email": "", "user_password": "test"}'
"""

CREATE_AGENT = """
curl -X POST "http://localhost:8000/api/v1/agent" \\
-H "Authorization: Bearer your_access_token" \\
-H "Content-Type: application/json" \\
-d '{
"name": "我的助手",
"description": "一个智能助手",
"tool_ids": [],
"llm_id": "gpt-4",
"knowledge_ids": [],
"enable_memory": true,
"system_prompt": "你是一个有用的助手",
"logo_url": ""
}'
"""

CHAT = """
import requests
# 登录获取令牌
login_response = requests.post(
"http://localhost:8000/api/v1/user/login",
json={"user_name": "test", "user_password": "test"}
)
access_token = login_response.json()["data"]["access_token"]
# 创建对话
headers = {"Authorization": f"Bearer {access_token}"}
chat_response = requests.post(
"http://localhost:8000/api/v1/chat",
headers=headers,
json={
"user_input": "你好",
"dialog_id": "dialog-123"
},
stream=True
)
# 处理流式响应
for line in chat_response.iter_lines():
    if line:
        print(line.decode('utf-8'))
"""


UPLOAD = """
curl -X POST "http://localhost:8000/api/v1/upload" \\
-H "Authorization: Bearer your_access_token" \\
-F "file=@/path/to/document.pdf"
"""


def shell(command: str) -> dict[str, object]:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.fixture
def server(tmp_path: Path) -> LiveServer:
    return LiveServer(tmp_path)


def test_the_examples_of_the_reference_work_as_printed(server: LiveServer) -> None:
    def at_our_port(text: str) -> str:
        return text.replace("localhost:8000", f"127.0.0.1:{server.port}")

    try:
        asyncio.run(server.start())
        assert shell(at_our_port(REGISTER))["status_message"] == "SUCCESS"
        printed, names = io.StringIO(), dict[str, object]()
        with contextlib.redirect_stdout(printed):
            exec(at_our_port(CHAT), names)
        lines = printed.getvalue().splitlines()
        bodies = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        spoken = [body["data"]["chunk"] for body in bodies if body["type"] == "response_chunk"]
        assert len(spoken) > 5
        assert bodies[-1]["type"] == "done"
        assert bodies[-1]["data"]["content"] == "".join(spoken)
        assert bodies[-1]["data"]["dialog_id"] == "dialog-123"

        token = str(names["access_token"])
        agent = shell(at_our_port(CREATE_AGENT).replace("your_access_token", token))["data"]
        assert isinstance(agent, dict)
        assert (agent["name"], agent["llm_id"]) == ("我的助手", "gpt-4")

        body = {"user_input": "hi", "dialog_id": "with gpt-4", "agent_id": agent["agent_id"]}
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(f"{server.url}/api/v1/chat", json=body, headers=headers)
        failed, done = [
            json.loads(line.removeprefix("data: "))["data"]
            for line in answer.text.splitlines()
            if line.startswith("data: ")
        ]
        assert failed["code"] == "model_not_configured"
        assert "OPENAI_API_KEY" in failed["message"]
        assert done["status"] == "failed"
    finally:
        server.kill()


@pytest.mark.parametrize("storage", ["local", "s3"])
def test_the_reference_uploads_a_file_and_a_chat_quotes_it(
    server: LiveServer, tmp_path: Path, storage: str, request: pytest.FixtureRequest
) -> None:
    if storage == "s3":
        server.settings = s3(request.getfixturevalue("seaweedfs"))
    document = tmp_path / "合同 document.pdf"
    document.write_bytes(drawn(lines("甲方于2019年在杭州成立。", font="STSong-Light")))
    try:
        asyncio.run(server.start())
        at_our_port = f"127.0.0.1:{server.port}"
        shell(REGISTER.replace("localhost:8000", at_our_port))
        login = {"user_name": "test", "user_password": "test"}
        token = httpx.post(f"{server.url}/api/v1/user/login", json=login).json()["data"]["access_token"]
        curl = UPLOAD.replace("localhost:8000", at_our_port).replace("your_access_token", token)
        uploaded = shell(curl.replace("/path/to/document.pdf", str(document)))
        assert uploaded["status_code"] == 200
        body = {"user_input": "甲方是哪一年成立的？", "dialog_id": "dialog-123", "file_url": uploaded["data"]}
        answer = httpx.post(f"{server.url}/api/v1/chat", json=body, headers={"Authorization": f"Bearer {token}"})
        assert "甲方于2019年在杭州成立。" in answer.text
    finally:
        server.kill()
