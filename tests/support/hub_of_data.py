"""A hub on the loopback interface that gives one data set away, as `datasets` asks for it."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.loopback_http import LoopbackHttp, respond

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubOfData(LoopbackHttp):
    """Holds the files of a folder as the data set `name`; knows no other."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.asked: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                respond(self, *hub.get(self.path))

            def do_HEAD(self) -> None:
                respond(self, *hub.get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                respond(self, *hub.post(self.path, body.decode()))

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def get(self, target: str) -> tuple[int, bytes, dict[str, str]]:
        path = unquote(urlsplit(target).path)
        self.asked.append(path)
        about, files = f"/api/datasets/{self.name}", f"/datasets/{self.name}/resolve/"
        if path in (about, *(f"{about}/revision/{word}" for word in ("main", COMMIT))):
            siblings = [{"rfilename": name} for name in self.files]
            return _json({"id": self.name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        if path.startswith(f"{about}/tree/"):
            below = path.removeprefix(f"{about}/tree/").partition("/")[2]
            found = self._tree(f"{below}/" if below else "", "recursive=true" in target.lower())
            return _json(found) if found else _missing("EntryNotFound")
        if path.startswith(files):
            name = path.removeprefix(files).partition("/")[2]
            return self._file(name) if name in self.files else _missing("EntryNotFound")
        return _missing("RepoNotFound")

    def post(self, target: str, body: str) -> tuple[int, bytes, dict[str, str]]:
        self.asked.append(urlsplit(target).path)
        asked = parse_qs(body).get("paths") or json.loads(body or "{}").get("paths", [])
        return _json([self._entry(name) for name in asked if name in self.files])

    def _tree(self, below: str, recursive: bool) -> list[dict[str, Any]]:
        inside = [name for name in self.files if name.startswith(below)]
        plain = [name for name in inside if recursive or "/" not in name.removeprefix(below)]
        folders = {below + name.removeprefix(below).partition("/")[0] for name in inside if name not in plain}
        about = {"type": "directory", "oid": COMMIT, "size": 0}
        return [*map(self._entry, plain), *({**about, "path": name} for name in sorted(folders))]

    def _entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        return {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": name}

    def _file(self, name: str) -> tuple[int, bytes, dict[str, str]]:
        data = self.files[name]
        return 200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}


def _json(value: Any) -> tuple[int, bytes, dict[str, str]]:
    return 200, json.dumps(value).encode(), {"Content-Type": "application/json"}


def _missing(code: str) -> tuple[int, bytes, dict[str, str]]:
    return 404, b"{}", {"X-Error-Code": code}
