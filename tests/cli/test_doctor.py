"""`datakit doctor`: findings with remedies, no key shown, exit code 1 for a failure."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import datakit.doctor as doctor

Run = Callable[..., Any]
KEY = "sk-very-secret"


@pytest.fixture
def endpoint() -> Iterator[tuple[str, dict[str, Any]]]:
    """A loopback endpoint that lists its models to who brings the key; its address and what it saw."""
    seen: dict[str, Any] = {"status": 200, "keys": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen["keys"].append(self.headers.get("Authorization"))
            seen["path"] = self.path
            allowed = self.headers.get("Authorization") == f"Bearer {KEY}"
            self.send_response(seen["status"] if allowed else 401)
            self.end_headers()
            self.wfile.write(b'{"data": []}')

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", seen
    server.shutdown()
    thread.join()
    server.server_close()


def endpoint_check() -> doctor.Check:
    (check,) = doctor._endpoint(Path())
    return check


def test_doctor_of_a_sound_project_ends_with_0(datakit: Run, recipe: Path) -> None:
    done = datakit("doctor", "--json")
    report = json.loads(done.out)
    checks = {check["name"]: check for check in report["checks"]}
    assert (done.code, report["ok"]) == (0, True), report
    assert checks.keys() >= {"python", "packages", "endpoint", "disk", "folders", "store", "recipes", "gpu"}
    assert checks["recipes"]["message"] == "toy: no error found"
    assert not (recipe.parent.parent / ".datakit").exists(), "looking makes nothing"


@pytest.mark.parametrize(
    ("needed", "version", "fault"),
    [
        ("toy>=2.1,<3", "2.10", ""),
        ("toy<3,>=2.1", "2.1.dev3", "toy is 2.1.dev3, needed is toy<3,>=2.1"),
        ("toy>=2.0", "2.0rc1", "toy is 2.0rc1, needed is toy>=2.0"),
        ("toy>=2.0", "2.1rc1", ""),
        ("toy==0.9.5", "0.9.5.post1", "toy is 0.9.5.post1, needed is toy==0.9.5"),
        ("toy[fast]~=1.4", "1.10+cu121", ""),
        ("toy!=1.5", "1.5", "toy is 1.5, needed is toy!=1.5"),
        ('toy>=9; python_version < "3"', "1.0", ""),
        ("toy>=1", None, "toy is missing"),
    ],
)
def test_versions_are_compared_as_the_package_index_does(
    needed: str, version: str | None, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    extra = [f"{needed}{' and' if ';' in needed else ';'} extra == 'own'", "other>=1; extra == 'other'"]
    monkeypatch.setattr(metadata, "version", installed)
    for lines, of in (([needed], None), (extra, "own")):
        monkeypatch.setattr(metadata, "requires", lambda _, lines=lines: lines)
        assert [words for line in doctor._requirements(of) if (words := doctor._fault(line))] == [
            *filter(None, [fault])
        ]


def test_wrong_recipe_ends_with_1_and_shows_its_line(datakit: Run, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("toy.only_odd", "toy.only_od"))
    done = datakit("doctor")
    assert done.code == 1
    assert "fail  recipe toy.yaml" in done.out
    assert "toy.yaml:4:" in done.out


def test_damaged_store_is_found(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    path = recipe.parent.parent / ".datakit" / "results.sqlite"
    assert "sound, 6 results" in next(doctor._store(path.parent.parent)).message
    path.write_bytes(b"not a database at all" * 400)
    check = next(doctor._store(path.parent.parent))
    assert (check.state, "taken over" in check.remedy) == ("fail", True)


def test_endpoint_that_answers_is_ok_and_the_key_is_not_shown(
    endpoint: tuple[str, dict[str, Any]], datakit: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, seen = endpoint
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    done = datakit("doctor")
    assert f"ok    endpoint: {address} answers" in done.out
    assert (seen["path"], seen["keys"]) == ("/v1/models", [f"Bearer {KEY}"])
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    ("key", "status", "state", "words"),
    [
        ("wrong", 200, "fail", "refuses the key"),
        (None, 200, "fail", "wants a key"),
        (KEY, 404, "ok", "does not list its models"),
        (KEY, 503, "warn", "503"),
    ],
)
def test_endpoint_that_refuses_is_told_apart(
    endpoint: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    status: int,
    state: str,
    words: str,
) -> None:
    address, seen = endpoint
    seen["status"] = status
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    if key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    check = endpoint_check()
    assert (check.state, words in check.message) == (state, True), check


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v1", "api.example.com/v1"])
def test_endpoint_that_cannot_be_reached_fails_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    check = endpoint_check()
    assert (check.state, bool(check.remedy)) == ("fail", True)


def test_without_a_key_the_offline_writer_is_announced() -> None:
    assert (endpoint_check().state, "offline writer" in endpoint_check().message) == ("warn", True)


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("click>=8.1", ""),
        ("click>=99", "needed is click>=99"),
        ("click<2,>=1", "needed"),
        ("click==1.0", "needed"),
        ("no-such-package-at-all>=1", "is missing"),
    ],
)
def test_versions_are_compared_with_what_is_needed(requirement: str, words: str) -> None:
    fault = doctor._fault(Requirement(requirement))
    assert words in fault
    assert bool(fault) == bool(words)


def test_ocr_engine_reads_a_drawn_picture(tmp_path: Path) -> None:
    (check,) = doctor._ocr(tmp_path)
    assert check.state == "ok", check


def test_users_are_not_told_what_datakits_own_tests_and_site_need(datakit: Run) -> None:
    checks = json.loads(datakit("doctor", "--json").out)["checks"]
    names = {check["name"] for check in checks}
    assert "extra train" in names
    assert not {"extra test", "extra docs"} & names
