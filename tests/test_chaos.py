"""The short run of scripts/chaos.py, and what its comparison of builds takes for a difference."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.library import build

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from disasters.outcome import differences, outcome, torn  # noqa: E402 (its folder is no package)

RECIPE = """\
version: 1
name: shop
steps:
  - read.jsonl: {path: ../rows.jsonl, image: image, label: label}
  - annotate.image_facts: {}
  - annotate.describe: {into: description, template: ask.j2}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
"""
Points = list[dict[str, Any]]


@pytest.fixture
def shop(project: Path) -> Path:
    """A project with a build and its card."""
    rows = []
    for number in range(4):
        Image.new("RGB", (60, 60 + number), (40 * number, 90, 90)).save(project / f"{number}.png")
        rows.append({"id": f"r{number}", "image": f"{number}.png", "label": "甲" if number % 2 else "乙"})
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    template = "{% for _ in images %}<image>{% endfor %}是什么？"
    (project / "templates/ask.j2").write_text(template, "utf-8")
    (project / "recipes/shop.yaml").write_text(RECIPE, "utf-8")
    build(project / "recipes/shop.yaml")
    return project


def test_a_build_made_again_from_its_store_is_the_same(shop: Path) -> None:
    first = outcome(shop, "shop")
    shutil.rmtree(shop / "build")
    shutil.rmtree(shop / "data_cards")
    build(shop / "recipes/shop.yaml")
    assert differences(first, outcome(shop, "shop")) == []
    assert torn(shop / "build/shop") is None


def _other_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace("甲".encode(), "丙".encode(), 1))


def _other_count(path: Path) -> None:
    report = json.loads(path.read_bytes())
    report["steps"][2]["records_out"] -= 1
    path.write_text(json.dumps(report), "utf-8")


def _other_row(path: Path) -> None:
    pl.read_parquet(path).with_columns(label=pl.col("label").replace("甲", "丙")).write_parquet(path)


def _other_settings(path: Path) -> None:
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "settings": "0"}), "utf-8")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("build/shop/shop_train.json", _other_byte),
        ("build/shop/report.json", _other_count),
        ("build/shop/records.parquet", _other_row),
        ("build/shop/manifest.json", _other_settings),
        ("build/shop/recipe.yaml", Path.unlink),
        ("data_cards/shop.md", _other_byte),
        ("data_cards/shop.html", _other_byte),
        ("data_cards/shop.html", Path.unlink),
    ],
)
def test_any_other_content_of_a_build_or_its_card_is_a_difference(
    shop: Path, name: str, change: Callable[[Path], object]
) -> None:
    first = outcome(shop, "shop")
    change(shop / name)
    assert any(name in difference for difference in differences(first, outcome(shop, "shop")))


def test_a_build_with_a_file_that_its_manifest_does_not_know_so_is_torn(shop: Path) -> None:
    _other_byte(shop / "build/shop/shop_train.json")
    assert torn(shop / "build/shop") == "shop_train.json has other bytes than its manifest says"


def run_chaos(folder: Path, *options: str) -> tuple[int, Points, str]:
    """Exit code, points and words of a short run."""
    command = [sys.executable, str(ROOT / "scripts/chaos.py"), "--json", "--keep", str(folder), *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    return ended.returncode, json.loads(ended.stdout or "[]"), ended.stderr


@pytest.mark.fault(
    "kill -9 and signals at file operations, SQL statements and moments; a damaged store",
    "the next build equals an undisturbed one to the byte, card included, and repeats no finished call",
    kind="signals",
)
def test_promises_hold_in_a_short_run_of_all_kinds_of_disasters(tmp_path: Path) -> None:
    only = ("kills=4", "signals=2", "damaged_store=1")
    code, points, words = run_chaos(tmp_path, *(part for name in only for part in ("--only", name)))
    assert [fault for point in points for fault in point["faults"]] == [], words
    assert code == 0, words
    assert sum(point["figures"].get("kills", 0) for point in points) >= 4
    assert sum(point["figures"].get("signals", 0) for point in points) >= 1
    assert {point["scenario"] for point in points} == {name.partition("=")[0] for name in only}


def test_an_unknown_scenario_is_told(tmp_path: Path) -> None:
    code, _, words = run_chaos(tmp_path, "--only", "flood")
    assert code == 2
    assert "there is no scenario flood; there are kills" in words
