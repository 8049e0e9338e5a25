"""A hub on the loopback interface that gives one data set away, as `datasets` asks for it."""

from __future__ import annotations

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.loopback_http import LoopbackHttp, respond

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_REFUSALS = {
    401: {"X-Error-Message": "Invalid username or password."},
    403: {"X-Error-Code": "GatedRepo"},
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubOfData(LoopbackHttp):
    """Holds the files of folders as data sets by name; `refused` are names with the status that they get."""

    def __init__(self, sets: dict[str, Path], refused: dict[str, int] | None = None) -> None:
        self.sets = {name: _files_of(folder) for name, folder in sets.items()}
        self.refused = refused or {}
        self.asked: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_HEAD(self) -> None:
                self._answer()

            def _answer(self) -> None:
                status, data, headers = hub.get(self.path)
                asked = _RANGE.fullmatch(self.headers.get("Range") or "")
                if status == 200 and asked:
                    start, end = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
                    headers = headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
                    status, data = 206, data[start : end + 1]
                respond(self, status, data, headers)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                respond(self, *hub.post(self.path, body.decode()))

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def get(self, target: str) -> tuple[int, bytes, dict[str, str]]:
        path = unquote(urlsplit(target).path)
        self.asked.append(path)
        name = _name(path)
        if name in self.refused:
            return self.refused[name], b"{}", _REFUSALS[self.refused[name]]
        if name not in self.sets:
            return _missing("RepoNotFound")
        about, below = f"/api/datasets/{name}", f"/datasets/{name}/resolve/"
        files = self.sets[name]
        if path in (about, *(f"{about}/revision/{word}" for word in ("main", COMMIT))):
            siblings = [{"rfilename": name} for name in files]
            return _json({"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        if path.startswith(f"{about}/tree/"):
            folder = path.removeprefix(f"{about}/tree/").partition("/")[2]
            found = _tree(files, f"{folder}/" if folder else "", "recursive=true" in target.lower())
            return _json(found) if found else _missing("EntryNotFound")
        file = files.get(path.removeprefix(below).partition("/")[2])
        return _missing("EntryNotFound") if file is None else (200, file, _marks(file))

    def post(self, target: str, body: str) -> tuple[int, bytes, dict[str, str]]:
        path = unquote(urlsplit(target).path)
        self.asked.append(path)
        files = self.sets.get(_name(path), {})
        asked = parse_qs(body).get("paths") or json.loads(body or "{}").get("paths", [])
        return _json([_entry(files, name) for name in asked if name in files])


def _name(path: str) -> str:
    """The set's name in a path of the API or of a file."""
    return "/".join(path.removeprefix("/api").split("/")[2:4])


def _files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _tree(files: dict[str, bytes], below: str, recursive: bool) -> list[dict[str, Any]]:
    inside = [name for name in files if name.startswith(below)]
    plain = [name for name in inside if recursive or "/" not in name.removeprefix(below)]
    folders = {below + name.removeprefix(below).partition("/")[0] for name in inside if name not in plain}
    about = {"type": "directory", "oid": COMMIT, "size": 0}
    return [*(_entry(files, name) for name in plain), *({**about, "path": name} for name in sorted(folders))]


def _entry(files: dict[str, bytes], name: str) -> dict[str, Any]:
    data = files[name]
    return {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": name}


def _marks(data: bytes) -> dict[str, str]:
    return {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}


def _json(value: Any) -> tuple[int, bytes, dict[str, str]]:
    return 200, json.dumps(value).encode(), {"Content-Type": "application/json"}


def _missing(code: str) -> tuple[int, bytes, dict[str, str]]:
    return 404, b"{}", {"X-Error-Code": code}
