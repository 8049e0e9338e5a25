"""Serves a review's folder to this machine's browser, and writes the decisions into their file."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from datakit.core.errors import UserError
from datakit.core.record import digest
from datakit.core.regular_files import read_regular
from datakit.reviewing.decisions_file import DecisionsFile, sent_decision

_FILE = re.compile(
    r"/(data/(?:index|(?:texts-)?\d{5,})\.js|thumbs/\d{3,}/\d{6,}\.jpg|pictures/\d{3,}/\d{6,}-\d+\.(?:jpeg|png|webp))"
)
"""The only files that are given out: their names are made of numbers."""
_TYPES = {".js": "text/javascript", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
_MOST_BYTES = 16_000_000
"""Of one request with decisions."""


@dataclass
class Review:
    """What is served."""

    folder: Path
    decisions: DecisionsFile
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


class Server(ThreadingHTTPServer):
    """A review on 127.0.0.1, for whoever has its token."""

    daemon_threads = True

    def __init__(self, review: Review, port: int | None = None) -> None:
        """Without a port it takes the folder's own, under which the browser finds again what it kept, or a
        free one where that is taken. Raises UserError for a port that is taken."""
        for wanted in (own_port(review.folder), 0) if port is None else (port,):
            try:
                super().__init__(("127.0.0.1", wanted), _Handler)
                break
            except OSError as error:
                if wanted == port:
                    raise UserError(
                        f"port {port} cannot be used: {error.strerror}",
                        remedy="Leave --port out, or name another.",
                    ) from None
        self.review = review

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def address(self) -> str:
        """What to open in the browser."""
        return f"http://{self.host}/?token={self.review.token}"

    @property
    def cookie(self) -> str:
        """Its name holds the port: cookies of one host are shared by all its ports."""
        return f"datakit_review_{self.server_address[1]}"


def own_port(folder: Path) -> int:
    """A port that is the same each time for one folder."""
    return 20_000 + int.from_bytes(digest(str(folder.absolute()), 4)) % 20_000


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 60
    """Of a connection that says nothing; each carries one request."""

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if not self._is_own_host():
            return self._say(HTTPStatus.FORBIDDEN, "another host")
        given = parse_qs(place.query).get("token", [""])[0]
        if place.path == "/" and given:
            return self._let_in(given)
        if not self._is_known():
            return self._say(HTTPStatus.FORBIDDEN, "open the address that datakit review --serve printed")
        if place.path == "/":
            return self._file("index.html", "text/html; charset=utf-8")
        if place.path == "/state":
            return self._state()
        match = _FILE.fullmatch(place.path)
        if match is None:
            return self._say(HTTPStatus.NOT_FOUND, "there is no such file")
        return self._file(match[1], _TYPES.get(Path(match[1]).suffix, "image/webp"))

    def do_POST(self) -> None:
        origin = self.headers.get("Origin", "")
        is_own = self._is_own_host() and origin == f"http://{self.server.host}"
        if not (is_own and self._is_known() and self.headers.get("X-Datakit-Review") == "1"):
            return self._refuse(HTTPStatus.FORBIDDEN, "not from the page")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _MOST_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too much at once")
        body = self.rfile.read(int(length))
        if self.path != "/decisions":
            return self._say(HTTPStatus.NOT_FOUND, "there is no such place")
        return self._decide(body)

    def _decide(self, body: bytes) -> None:
        decisions = self.server.review.decisions
        try:
            rows = json.loads(body)["decisions"]
            taken = [sent_decision(row, decisions.own) for row in rows]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return self._say(HTTPStatus.BAD_REQUEST, f"no decisions: {error}")
        try:
            count = decisions.put(taken)
        except (UserError, OSError) as error:
            return self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        return self._json({"decisions": count})

    def _state(self) -> None:
        decisions = self.server.review.decisions
        try:
            lines = [override.model_dump(mode="json") for override in decisions.state()]
        except UserError as error:
            return self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        return self._json({"file": decisions.path.name, "lines": lines})

    def _let_in(self, given: str) -> None:
        """Trades the token of the address for a cookie, so that it stays out of the history."""
        if not hmac.compare_digest(given.encode(), self.server.review.token.encode()):
            return self._say(HTTPStatus.FORBIDDEN, "the token is wrong")
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        cookie = f"{self.server.cookie}={self.server.review.token}; HttpOnly; SameSite=Strict; Path=/"
        self.send_header("Set-Cookie", cookie)
        self._end(b"")
        return None

    def _is_own_host(self) -> bool:
        """Not a name of another site that leads here."""
        return self.headers.get("Host", "") == self.server.host

    def _is_known(self) -> bool:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
        except CookieError:
            return False
        token = self.server.review.token
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), token.encode())

    def _file(self, name: str, kind: str) -> None:
        try:
            data = read_regular(self.server.review.folder / name)
        except OSError:
            return self._say(HTTPStatus.NOT_FOUND, "there is no such file")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self._end(data)
        return None

    def _json(self, value: Any) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self._end(json.dumps(value, ensure_ascii=False).encode())

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        """Says no without reading what was sent, so the connection ends."""
        self.close_connection = True
        self._say(status, words)

    def _say(self, status: HTTPStatus, words: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self._end(words.encode())

    def _end(self, data: bytes) -> None:
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the base class)
        """Nothing: the token would stand in it."""
