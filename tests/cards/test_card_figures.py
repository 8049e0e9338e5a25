"""The figures that a signer reads on the card are those that the commands print with --json."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import yaml

from datakit.cli import run
from tests.support.loopback import Loopback

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ("ecom_v1", "medical", "repeated")
Table = list[list[str]]
Json = Callable[..., dict[str, Any]]


class _Tables(HTMLParser):
    """The tables of a page by the heading that they stand under."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[Table]] = {}
        self._heading, self._in = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("h2", "td", "th"):
            self._in = tag
        if tag == "h2":
            self._heading = ""
        elif tag == "table":
            self.found.setdefault(self._heading, []).append([])
        elif tag == "tr":
            self.found[self._heading][-1].append([])
        elif tag in ("td", "th"):
            self.found[self._heading][-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "td", "th"):
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "h2":
            self._heading += data
        elif self._in:
            self.found[self._heading][-1][-1][-1] += data


def html_tables(path: Path) -> dict[str, list[Table]]:
    page = _Tables()
    page.feed(path.read_text("utf-8"))
    return {heading.strip(): tables for heading, tables in page.found.items()}


def markdown_tables(path: Path) -> dict[str, list[Table]]:
    found: dict[str, list[Table]] = {}
    heading, before = "", ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        if line.startswith("|"):
            cells = [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not before.startswith("|"):
                found.setdefault(heading, []).append([])
            if not set("".join(cells)) <= set("-: "):
                found[heading][-1].append(cells)
        before = line
    return found


def column(table: Table, name: str) -> list[str]:
    at = table[0].index(name)
    return [row[at].strip() for row in table[1:]]


def number(text: str) -> int:
    return int(text.replace(",", "") or 0)


def digits(text: str) -> list[int]:
    return [number(found) for found in re.findall(r"\d[\d,]*", text)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped recipes with cards in English; one row of each is broken, so that something is rejected."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("recipes", "templates", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    for task in ("ecom", "medical"):
        with (folder / "examples" / task / "train.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"id": "gone", "image": "images/gone.png", "label": "x"}\n')
    for name in RECIPES:
        path = folder / "recipes" / f"{name}.yaml"
        shipped = "ecom_v1" if name == "repeated" else name
        recipe = yaml.safe_load((ROOT / "recipes" / f"{shipped}.yaml").read_text("utf-8"))
        if name == "repeated":
            recipe["steps"].insert(-1, {"balance.resample": {"by": "label", "strategy": "uniform"}})
        recipe |= {"name": name, "card": {"language": "en"}}
        recipe.setdefault("run", {})["max_reject_rate"] = 0.5
        path.write_text(yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False), "utf-8")
    return folder


@pytest.fixture
def command(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Json:
    """What a command prints with --json, in the project."""
    monkeypatch.chdir(project)

    def go(*args: str) -> dict[str, Any]:
        run([*args, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert isinstance(found, dict)
        return found

    return go


@pytest.fixture(params=RECIPES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=("html", "md"))
def tables(request: pytest.FixtureRequest, name: str, command: Json, project: Path) -> dict[str, list[Table]]:
    """Those of the card of a build that is made by the first test that asks, in either form."""
    command("build", f"recipes/{name}.yaml")
    read = html_tables if request.param == "html" else markdown_tables
    return read(project / "data_cards" / f"{name}.{request.param}")


def test_each_step_lets_in_out_and_rejects_what_the_build_says(
    tables: dict[str, list[Table]], name: str, command: Json
) -> None:
    steps = command("build", f"recipes/{name}.yaml")["steps"]
    table = tables["How it was made"][0]
    for word, key in (("in", "records_in"), ("added", "added"), ("retry", "retry"), ("out", "records_out")):
        assert list(map(number, column(table, word))) == [step[key] for step in steps], word
    rejected = [sum(step["rejected"].values()) for step in steps]
    assert list(map(number, column(table, "rejected"))) == rejected
    assert sum(rejected) == 1
    version = dict(tables["This version"][0][1:])
    assert number(version["records left out"]) == 1


def test_parts_and_classes_are_those_of_the_files(
    tables: dict[str, list[Table]], name: str, project: Path
) -> None:
    parts = tables["Parts"][0]
    folder, shown = project / "build" / name, {}
    for file, records, written, pictures in zip(
        column(parts, "file"),
        column(parts, "records"),
        column(parts, "rows in the file"),
        column(parts, "pictures"),
        strict=True,
    ):
        held = orjson.loads((folder / file).read_bytes())
        assert number(written) == len(held), file
        assert number(records) == len({row["id"] for row in held}), file
        assert number(pictures) == len({picture for row in held for picture in row["images"]}), file
        shown[file.rpartition("_")[2].partition(".")[0]] = number(records)
    version = dict(tables["This version"][0][1:])
    assert digits(version["records"]) == [shown["train"], shown["val"], shown.get("general", 0)]
    frame = pl.read_parquet(folder / "records.parquet").filter(pl.col("label").is_not_null())
    classes = tables["Classes"][0]
    for part, word in (("train", "training"), ("val", "validation")):
        counted = frame.filter(pl.col("split") == part)["label"].value_counts()
        expected = dict(counted.rows())
        found = dict(zip(column(classes, "class"), map(number, column(classes, word)), strict=True))
        assert {label: count for label, count in found.items() if count} == expected
    assert number(version["classes"]) == len(column(classes, "class"))


def test_verdict_lines_are_those_of_the_build_and_of_verdict(
    tables: dict[str, list[Table]], name: str, command: Json
) -> None:
    lines = command("verdict", f"build/{name}")["verdict"]
    assert lines == command("build", f"recipes/{name}.yaml")["verdict"]
    shown = {
        (row[0], row[1].lower(), row[2].replace("\\|", "|"))
        for table in tables["Verdict"]
        for row in table[1:]
    }
    assert shown == {(line["statement"], line["state"], line["words"]) for line in lines}
    commands = {cell for table in tables["Verdict"] for row in table[1:] for cell in row[3:]}
    assert commands == {line["command"] for line in lines if line["state"] != "passed"}
    states = [line["state"] for line in lines]
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("failed", "warned", "passed"))
    version = dict(tables["This version"][0][1:])
    assert version["verdict"] == counted.removeprefix("0 failed, ")


def test_lengths_and_tokens_are_those_of_check(
    tables: dict[str, list[Table]], name: str, command: Json
) -> None:
    sets = command("check", f"build/{name}")["data_sets"]
    table = tables["Lengths and image tokens"][0]
    keys = {"rows": "rows", "longest row": "longest", "text tokens": "text_tokens"}
    for word, key in {**keys, "image tokens": "image_tokens"}.items():
        assert list(map(number, column(table, word))) == [one[key] for one in sets], word
    version = dict(tables["This version"][0][1:])
    sums = [sum(one[key] for one in sets) for key in ("text_tokens", "image_tokens")]
    assert digits(version["tokens of the data files"]) == sums


@pytest.mark.parametrize("form", ["html", "md"])
def test_calls_tokens_and_cost_are_those_of_the_build(
    project: Path, command: Json, server: Loopback, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("DATAKIT_STORE", str(project / f"store-{form}"))
    recipe = yaml.safe_load((project / "recipes" / "medical.yaml").read_text("utf-8"))
    recipe |= {"name": f"paid_{form}", "llm": {"model": "gpt-4o-mini", "price_in": 100, "price_out": 300}}
    path = project / "recipes" / f"paid_{form}.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True), "utf-8")
    steps = [step for step in command("build", str(path))["steps"] if step["answer_calls"]]
    assert [step["name"] for step in steps] == ["annotate.describe", "annotate.reason"]
    read = html_tables if form == "html" else markdown_tables
    table = read(project / "data_cards" / f"paid_{form}.{form}")["Spend"][0]
    for word, key in (
        ("requests", "answer_calls"),
        ("tokens in", "answer_tokens_in"),
        ("tokens out", "answer_tokens_out"),
    ):
        each = [step[key] for step in steps]
        assert list(map(number, column(table, word))) == [*each, sum(each)], word
    costs = [step["cost_usd"] for step in steps]
    assert list(map(float, column(table, "cost, USD"))) == pytest.approx([*costs, sum(costs)], abs=1e-4)
    assert sum(costs) > 0
    assert sum(step["answer_calls"] for step in steps) == len(server.calls)
