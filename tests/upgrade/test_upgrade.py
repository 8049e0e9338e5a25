"""A user who upgrades gets the same data for nothing, and reads the builds that he has; see README.md.

Everything goes through the command, so that no test here has to follow when the code behind it moves.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.cli import run

HERE = Path(__file__).resolve().parent
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text("utf-8"))
BUILDS: dict[str, dict[str, Any]] = EXPECTED["builds"]
OLD = ("ecom_v1", "ecom_v3")
OFFLINE = ("ecom_v3", "medical")
"""Builds with texts of the built-in offline writer, which cost nothing: a better writer writes them anew."""
WRITING = {"annotate.describe", "annotate.reason", "guard.reason"}
RECORD = "screen-0015"

Datakit = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with its old store, elsewhere than it was made, with the rapidocr that it was made with."""
    shutil.copytree(HERE / "project", tmp_path / "shop")
    (tmp_path / "shop" / ".datakit").mkdir()
    (tmp_path / "shop" / "results.sqlite").rename(tmp_path / "shop" / ".datakit" / "results.sqlite")
    # The engine's version is part of its keys on purpose. Nothing is read anew here, so its name is enough.
    info = tmp_path / "site" / f"rapidocr-{EXPECTED['rapidocr']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: rapidocr\nVersion: {EXPECTED['rapidocr']}\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def datakit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Datakit:
    """Runs `datakit ... --json` and gives what it printed; the exit code must be `code`."""

    def go(*args: object, code: int = 0) -> Any:
        # A recipe that names `provider: openai` wants a key, which is never sent: nobody listens. The others
        # say `auto` and must not see one.
        if any(f"{name}.yaml" in str(arg) for name in ("paid", "two_models") for arg in args):
            monkeypatch.setenv("OPENAI_API_KEY", "x")
        found = run([*map(str, args), "--json"])
        captured = capsys.readouterr()
        assert found == code, captured.err
        return json.loads(captured.out)

    return go


def results(shop: Path) -> set[tuple[bytes, bytes]]:
    """Keys and values of the store."""
    with sqlite3.connect(shop / ".datakit" / "results.sqlite") as db:
        found = set(db.execute("SELECT key, value FROM results"))
    db.close()
    return found


@pytest.mark.parametrize("name", BUILDS)
def test_a_recipe_on_its_old_store_gives_the_old_bytes_and_calls_nothing(
    datakit: Datakit, shop: Path, name: str
) -> None:
    before = results(shop)
    plan = datakit("plan", f"recipes/{name}.yaml")
    report = datakit("build", f"recipes/{name}.yaml")
    written = WRITING if name in OFFLINE else set()
    for step in report["steps"]:
        paid = {key: step[key] for key in ("attempts", "retry", "tokens_in", "cost_usd")}
        assert not any(paid.values()), (step["name"], paid)
        assert step["name"] in written or not (step["new"] or step["calls"]), step["name"]
    assert results(shop) >= before
    assert (results(shop) == before) == (not written)
    assert any(step["cached"] for step in report["steps"])
    assert not report["reused"]
    assert {step["name"] for step in plan["steps"] if step["calls"]} <= written
    assert not plan["cost_usd"]
    folder = shop / "build" / name
    files = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in BUILDS[name]["files"]}
    assert files == BUILDS[name]["files"]
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert sorted(manifest["records"]) == sorted(files)
    assert manifest["content"] == BUILDS[name]["content"]


@pytest.mark.parametrize("name", ["paid", "two_models"])
def test_every_sample_and_verdict_is_found_when_descriptions_are_chosen_anew(
    datakit: Datakit, shop: Path, name: str
) -> None:
    before = results(shop)
    with sqlite3.connect(shop / ".datakit" / "results.sqlite") as db:
        whole = "json_extract(CAST(meta AS TEXT), '$.parts') IS NOT NULL"
        assert db.execute(f"DELETE FROM results WHERE {whole}").rowcount > 0
    db.close()
    report = datakit("build", f"recipes/{name}.yaml")
    chosen = [step for step in report["steps"] if step["new"]]
    assert [step["name"] for step in chosen] == ["annotate.describe"]
    assert not any(chosen[0][key] for key in ("attempts", "tokens_in", "cost_usd"))
    assert {key for key, _ in results(shop)} <= {key for key, _ in before}
    manifest = json.loads((shop / "build" / name / "manifest.json").read_text("utf-8"))
    assert manifest["content"] == BUILDS[name]["content"]


@pytest.mark.parametrize("name", ["ecom_v3", "paid", "two_models"])
def test_why_finds_the_stored_answer_of_every_paid_step(datakit: Datakit, shop: Path, name: str) -> None:
    datakit("build", f"recipes/{name}.yaml")
    record = "film-0061" if name == "two_models" else RECORD
    steps = datakit("why", f"recipes/{name}.yaml", record)["steps"]
    assert {step["state"] for step in steps} == {"passed"}
    answers = [step["answer"] for step in steps if step["answer"] is not None]
    assert len(answers) >= 3
    assert all(answer["stored"] for answer in answers)


@pytest.fixture
def old_builds(shop: Path) -> Path:
    """The old builds where a project has its own, under names that no recipe takes; their pictures' sources
    are gone, as they would be on another machine."""
    for name in OLD:
        shutil.copytree(HERE / "old_builds" / name, shop / "build" / f"{name}_old")
    return shop / "build"


@pytest.mark.parametrize("name", OLD)
def test_an_old_build_is_the_same_as_a_new_one(datakit: Datakit, old_builds: Path, name: str) -> None:
    datakit("build", f"recipes/{name}.yaml")
    found = datakit("diff", old_builds / f"{name}_old", old_builds / name, code=int(name in OFFLINE))
    assert found["same"] == (name not in OFFLINE)
    # The project lies elsewhere, and sources are named by their place.
    assert [line for line in found["settings"] if not line.startswith(("source ", "datakit 0.1.0 "))] == []
    assert found["records_before"] == found["records_after"] > 10


@pytest.mark.parametrize("name", OLD)
def test_an_old_build_tells_of_its_records(datakit: Datakit, old_builds: Path, name: str) -> None:
    story = datakit("why", old_builds / f"{name}_old", RECORD, "--no-replay")
    assert not story["replayed"]
    assert {step["name"] for step in story["steps"]} >= {"guard.image", "render.chat", "emit.llamafactory"}
    assert [step["answer"]["stored"] for step in story["steps"] if step["answer"]]
    (place, *_) = story["places"]
    assert RECORD in json.dumps(place["row"])


@pytest.mark.parametrize("name", OLD)
def test_an_old_build_is_checked_and_evaluated(datakit: Datakit, old_builds: Path, name: str) -> None:
    build = old_builds / f"{name}_old"
    assert datakit("check", build)["errors"] == 0
    rows = json.loads((build / f"{name}_val.json").read_text("utf-8"))
    answers = old_builds / f"{name}_old-runs" / "one"
    answers.mkdir(parents=True)
    (answers / "predictions.jsonl").write_text(
        "".join(json.dumps({"id": row["id"], "predicted": "支付页面", "model": "m"}) + "\n" for row in rows),
        "utf-8",
    )
    (found,) = datakit("evaluate", build)["evaluations"]
    assert found["records"] == len({row["id"] for row in rows})
    assert 0 < found["metrics"]["accuracy"]["value"] < 1


@pytest.mark.parametrize("name", OLD)
def test_a_build_in_the_place_of_an_old_one_calls_nothing(datakit: Datakit, shop: Path, name: str) -> None:
    shutil.copytree(HERE / "old_builds" / name, shop / "build" / name)
    report = datakit("build", f"recipes/{name}.yaml")
    worked = {step["name"] for step in report["steps"] if step["new"] or step["calls"]}
    assert worked == (WRITING if name in OFFLINE else set())
    manifest = json.loads((shop / "build" / name / "manifest.json").read_text("utf-8"))
    assert manifest["content"] == BUILDS[name]["content"]
