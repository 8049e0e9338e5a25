"""The server of a review: only who has the token, only from this machine's page, only its own files."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.overrides import Override, read_overrides
from datakit.core.errors import UserError
from datakit.core.judged import Seen
from datakit.reviewing.decisions_file import DecisionsFile
from datakit.reviewing.server import Review, Server, own_port

JUDGED = "0" * 32


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "page"
    (folder / "data").mkdir(parents=True)
    (folder / "index.html").write_text("the page")
    (folder / "data" / "00000.js").write_text("rows")
    (folder / "secret.txt").write_text("secret")
    (tmp_path / "outside.js").write_text("secret")
    decisions = DecisionsFile(
        tmp_path / "overrides.jsonl", dict.fromkeys(("r1", "r2"), Seen(JUDGED, JUDGED, ""))
    )
    server = Server(Review(folder, decisions))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(
    server: Server, path: str, *, method: str = "GET", body: Any = None, **headers: str | None
) -> tuple[int, str, dict[str, str]]:
    """The answer to somebody who has the cookie and comes from the page; headers say what is different."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    sent: dict[str, str | None] = {
        "Host": server.host,
        "Cookie": f"{server.cookie}={server.review.token}",
        "Origin": f"http://{server.host}",
        "X-Datakit-Review": "1",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kept = {name: value for name, value in sent.items() if value is not None}
    connection.request(method, path, body=data, headers=kept)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, dict(answer.getheaders())


def line(id_: str = "r1", **values: Any) -> dict[str, Any]:
    return {"id": id_, "judged": JUDGED, "action": "drop", "who": "王", **values}


def written(server: Server) -> list[Override]:
    path = server.review.decisions.path
    return [one.override for one in read_overrides(path.read_text("utf-8"), "f")] if path.exists() else []


def test_token_opens_the_page_once_and_then_the_cookie(server: Server) -> None:
    status, _, headers = ask(server, f"/?token={server.review.token}", Cookie=None)
    assert (status, headers["Location"]) == (303, "/")
    assert "HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
    assert ask(server, "/")[:2] == (200, "the page")
    assert ask(server, "/data/00000.js")[:2] == (200, "rows")


@pytest.mark.fault(
    "another program, user or web site reaches the review's server",
    "without the token, or under another host's name, it gets nothing and writes nothing",
    kind="secrets",
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": None},
        {"Cookie": "datakit_review=x"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:80"},
    ],
)
def test_strangers_get_nothing(server: Server, headers: dict[str, str | None]) -> None:
    for path in ("/", "/state", "/data/00000.js", "/?token=wrong", "/?token=%F0%9F%98%80"):
        status, text, _ = ask(server, path, **headers)
        assert status == 403
        assert server.review.token not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": None},
        {"X_Datakit_Review": None},
        {"Cookie": None},
        {"Host": "evil.example"},
    ],
)
def test_only_the_page_itself_decides(server: Server, headers: dict[str, str | None]) -> None:
    body = {"decisions": [["r1", line(), "王"]]}
    assert ask(server, "/decisions", method="POST", body=body, **headers)[0] == 403
    assert written(server) == []


@pytest.mark.fault(
    "a request names a file outside the review's folder",
    "only names made of numbers are given out; all others are not found",
    kind="pages",
)
@pytest.mark.parametrize(
    "path",
    [
        "/../outside.js",
        "/data/../../outside.js",
        "/data/%2e%2e/%2e%2e/outside.js",
        "/secret.txt",
        "/data/00000.js/../../secret.txt",
        "//etc/passwd",
        "/pictures/000/000001-0.svg",
        "/data/00000.js%00",
    ],
)
def test_no_file_but_those_of_the_page(server: Server, path: str) -> None:
    status, text, _ = ask(server, path)
    assert status == 404
    assert "secret" not in text


def test_decisions_are_written_replaced_and_taken_back(server: Server) -> None:
    post = {"method": "POST"}
    path = server.review.decisions.path
    path.with_name(f".{path.name}.part").write_text("{")  # what a killed server left
    assert (
        ask(
            server, "/decisions", body={"decisions": [["r1", line(), "王"], ["r2", line("r2"), "王"]]}, **post
        )[0]
        == 200
    )
    assert [one.id for one in written(server)] == ["r1", "r2"]
    path = server.review.decisions.path
    plain = path.with_name("plain")
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o660)  # a team's
    again = line(action="relabel", new="退货页面")
    ask(server, "/decisions", body={"decisions": [["r1", again, "王"]]}, **post)
    assert [(one.id, one.action) for one in written(server)] == [("r2", "drop"), ("r1", "relabel")]
    ask(server, "/decisions", body={"decisions": [["r2", None, "王"]]}, **post)
    assert [one.id for one in written(server)] == ["r1"]
    assert path.stat().st_mode & 0o777 == 0o660
    assert [row["id"] for row in json.loads(ask(server, "/state")[1])["lines"]] == ["r1"]
    assert not list(path.parent.glob(f".{path.name}*.part"))


def test_lines_of_others_and_about_other_things_stay(server: Server) -> None:
    path = server.review.decisions.path
    others = [Override(**line(who="李")), Override(**line(judged="1" * 32)), Override(**line("gone"))]
    path.write_bytes(b"".join(one.to_line() for one in others))
    ask(server, "/decisions", method="POST", body={"decisions": [["r1", line(), "王"]]})
    ask(server, "/decisions", method="POST", body={"decisions": [["r1", None, "王"]]})
    assert written(server) == others


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        {"decisions": 3},
        {"decisions": [["gone", line("gone"), "王"]]},
        {"decisions": [["r1", line("r2"), "王"]]},
        {"decisions": [["r1", line(judged="1" * 32), "王"]]},
        {"decisions": [["r1", line(action="explode"), "王"]]},
        {"decisions": [["r1", line(action="relabel", new="\ud83d"), "王"]]},
        {"decisions": [["r1", line(), 3]]},
        {"decisions": [["r1", line()]]},
        b'{"decisions": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_decision_is_refused_and_nothing_written(server: Server, body: Any) -> None:
    assert ask(server, "/decisions", method="POST", body=body)[0] == 400
    assert written(server) == []


def test_more_than_a_request_may_hold_is_refused_unread(server: Server) -> None:
    assert ask(server, "/decisions", method="POST", body=b"", Content_Length="99999999999")[0] == 413


def test_broken_file_is_told_and_left_as_it_is(server: Server) -> None:
    path = server.review.decisions.path
    path.write_text("{broken\n")
    status, text, _ = ask(server, "/decisions", method="POST", body={"decisions": [["r1", line(), "王"]]})
    assert (status, path.read_text()) == (500, "{broken\n")
    assert "line 1: this is no JSON" in text


def test_folder_keeps_its_port_so_that_the_browser_finds_its_storage_again(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    assert own_port(folder) == own_port(folder) != own_port(tmp_path)
    taken = server.server_address[1]
    with pytest.raises(UserError, match="cannot be used"):
        Server(server.review, taken)
    with Server(server.review) as second:  # its own port is taken: another one
        assert second.server_address[1] != taken
