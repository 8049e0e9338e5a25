"""A hub on the loopback interface: it takes repositories and commits of data sets, and keeps what came."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.loopback_http import LoopbackHttp, respond

TOKEN = "hf_loopback"


@dataclass
class HubServer(LoopbackHttp):
    """Answers the calls that huggingface_hub makes to create a repository and to upload a folder."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path in the repository -> bytes."""
    repositories: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._answer(*server.post(self.path, body, self.headers.get("Authorization")))

            def do_GET(self) -> None:
                self._answer(*server.get(self.path))

            def _answer(self, status: int, value: Any) -> None:
                respond(self, status, json.dumps(value).encode(), {"Content-Type": "application/json"})

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def post(self, path: str, body: bytes, authorization: str | None) -> tuple[int, Any]:
        self.tokens.append(authorization)
        if authorization != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        if path == "/api/repos/create":
            self.repositories.append(json.loads(body))
            return 200, {"url": f"{self.url}/datasets/me/shop"}
        if path.endswith("/preupload/main"):
            wanted = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return 200, {"files": wanted}
        if "/commit/main" in path:
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    self.files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
                if item["key"] == "deletedFile":
                    self.files.pop(item["value"]["path"])
            url = f"{self.url}/datasets/me/shop/commit/abc"
            return 200, {"success": True, "commitOid": "abc", "commitUrl": url}
        return 200, {}

    def get(self, path: str) -> tuple[int, Any]:
        if "/tree/" in path:
            return 200, [
                {"type": "file", "oid": "0", "size": len(data), "path": name}
                for name, data in self.files.items()
            ]
        siblings = [{"rfilename": name} for name in self.files]
        return 200, {"id": "me/shop", "sha": "abc", "siblings": siblings, "private": True, "tags": []}
