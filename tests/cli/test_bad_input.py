"""What a user does wrong, through the real command: words with place and remedy, the exit code, no loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.cli import run

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
name: shop
labels: ../templates/labels.yaml
steps:
  - read.jsonl: {path: ../data/train.jsonl}
  - guard.image: {min_side_px: 28}
  - guard.label: {}
  - render.chat: {prompt: ask.j2, answer: answer/label_only.j2}
emit:
  - llamafactory: {images: copy}
run: {max_reject_rate: 0.5, workers: 1}
"""
TEXT_RECIPE = RECIPE.replace("  - guard.image: {min_side_px: 28}\n", "")
LABELS = ("购物车页面", "退货页面")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class Project:
    """A project of six records in a folder whose name has spaces and Chinese."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        for name in ("recipes", "templates", "data/截图 1"):
            (folder / name).mkdir(parents=True)
        self.recipe(RECIPE)
        self.write("templates/labels.yaml", f"labels: [{', '.join(LABELS)}]\n")
        self.write(
            "templates/ask.j2", "{% for _ in images %}<image>{% endfor %}这是什么？\n{{ label_names }}\n"
        )
        for number in range(6):
            picture = Image.new("RGB", (60, 90), (number * 30, 0, 0))
            picture.save(folder / "data" / "截图 1" / f"{number}.jpg")
        self.records(*self.rows())

    def rows(self, pictures: bool = True) -> list[dict[str, Any]]:
        return [
            {"id": f"r{n}", "label": LABELS[n % 2]} | ({"image": f"截图 1/{n}.jpg"} if pictures else {})
            for n in range(6)
        ]

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def recipe(self, text: str) -> None:
        self.write("recipes/店 1.yaml", text)

    def records(self, *rows: Any) -> None:
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        self.write("data/train.jsonl", "".join(line + "\n" for line in lines))

    def texts_only(self) -> None:
        """Without pictures, so that no worker process starts."""
        self.recipe(TEXT_RECIPE)
        self.records(*self.rows(pictures=False))

    def datakit(self, *args: str) -> Result:
        """A command in this process."""
        self.capsys.readouterr()
        code = run(list(args))
        result = Result(code, *self.capsys.readouterr())
        assert "Traceback" not in result.err, result.err
        return result

    def program(self, *args: str) -> Result:
        """A command as a program of its own."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI", "DATAKIT"))}
        done = subprocess.run(
            [sys.executable, "-m", "datakit.cli", *args],
            cwd=self.folder,
            env={**env, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in result.err, result.err
        return result

    def build(self, *args: str) -> Result:
        return self.datakit("build", "recipes/店 1.yaml", "--no-card", *args)

    def report(self, folder: str = "build/shop") -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / folder / "report.json").read_text("utf-8"))
        for step in report["steps"]:
            leaving = step["records_out"] + sum(step["rejected"].values()) + step["retry"]
            assert step["records_in"] + step["added"] == leaving, step
        return report

    def rejects(self, folder: str = "build/shop") -> list[dict[str, Any]]:
        lines = (self.folder / folder / "rejects.jsonl").read_text("utf-8").splitlines()
        rejects = [json.loads(line) for line in lines]
        counted = Counter({r: n for s in self.report(folder)["steps"] for r, n in s["rejected"].items()})
        assert Counter(reject["reason"] for reject in rejects) == counted
        return rejects


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    project = Project(tmp_path / "我的 项目", capsys)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(project.folder)
    return project


def test_the_project_itself_is_good_in_a_folder_with_spaces_and_chinese(project: Project) -> None:
    done = project.program("build", "recipes/店 1.yaml", "--no-card")
    assert (done.code, done.err.count("Error")) == (0, 0)
    rows = json.loads((project.folder / "build" / "shop" / "shop_train.json").read_text("utf-8"))
    assert [row["id"] for row in rows] == [f"r{n}" for n in range(6)]
    assert all((project.folder / "build" / "shop" / row["images"][0]).is_file() for row in rows)
    assert project.rejects() == []


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("guard.label", "guard.lable", "6:5", "unknown step `guard.lable`\n  Did you mean `guard.label`?"),
        ("min_side_px: 28", "min_side: 28", "5:19", "unknown parameter `min_side` (value 28)"),
        ("min_side_px: 28", "min_side_px: big", "5:19", "`min_side_px`: input should be a valid integer"),
        ("ask.j2", "aks.j2", "7:5", "Did you mean `ask.j2`?"),
        ("train.jsonl", "trian.jsonl", "4:5", "Did you mean `train.jsonl`?"),
        ("train.jsonl}", "train.jsonl, label: lable}", "4:5", "Did you mean `label`?"),
        ("labels.yaml", "lables.yaml", "2:1", "cannot read the label file"),
        ("emit:", "emmit:", "8:1", "unknown key `emmit`\n  Did you mean `emit`?"),
        ("name: shop", "name: shop\nname: two", "2:1", "`name`"),
        ("name: shop", "name: !!python/object/apply:os.system [x]", "1:7", ""),
        ("steps:", "steps: [", "", "not valid YAML"),
        ("max_reject_rate: 0.5", "max_reject_rate: 50", "10:7", "less than or equal to 1"),
        ("max_reject_rate: 0.5", "concurrency: many", "10:7", "valid integer"),
        ("copy", "hardlink", "9:", "`images`"),
        ("  - guard.label: {}\n", "  - guard.label: {}\n  - guard.reason: {}\n", "7:5", "column `reason`"),
        ("  - read.jsonl: {path: ../data/train.jsonl}\n", "", "", "no records"),
    ],
)
def test_a_wrong_recipe_is_refused_with_line_and_remedy_before_anything_runs(
    old: str, new: str, line: str, words: str, project: Project
) -> None:
    assert old in RECIPE
    project.recipe(RECIPE.replace(old, new, 1))
    done = project.build()
    assert done.code == 2
    assert f"recipes/店 1.yaml:{line}" in done.err
    assert words in done.err
    assert not (project.folder / "build" / "shop").exists()


def test_all_that_is_wrong_is_told_at_once_and_nothing_that_only_follows_from_it(project: Project) -> None:
    project.recipe(RECIPE.replace("min_side_px", "min_side").replace("{}", "{allow: 1}").replace("copy", "c"))
    done = project.build()
    assert done.code == 2
    assert done.err.count("recipes/店 1.yaml:") == 3
    project.recipe(RECIPE.replace("ask.j2", "aks.j2"))
    assert project.build().err.count("recipes/店 1.yaml:") == 1
    project.recipe(RECIPE.replace("train.jsonl", "none.jsonl"))
    assert project.build().err.count("recipes/店 1.yaml:") == 1


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<image>{{ descriptoin }}", "column `descriptoin` is given by no earlier step\n  in "),
        ("<image>\n{% if %}", "ask.j2:2"),
        ("<image>{{ ''.__class__.__mro__ }}", "ask.j2"),
        ("没有图片的位置", "`ask.j2` gives 0 <image> places for 1 picture; write them so"),
    ],
)
def test_a_wrong_template_is_named_with_its_line(template: str, words: str, project: Project) -> None:
    project.write("templates/ask.j2", template)
    done = project.build()
    assert done.code in (1, 2)
    assert words in done.err
    assert not (project.folder / "build" / "shop").exists()


@pytest.mark.parametrize("args", [("build", "none.yaml"), ("build", "recipes"), ("bild",), ("plan", "x")])
def test_a_wrong_call_is_refused_with_what_there_is(args: tuple[str, ...], project: Project) -> None:
    done = project.program(*args)
    assert done.code == 2
    assert done.err.strip()
    assert done.out == ""


@pytest.mark.parametrize("value", ["guard.image.min=3", "nonsense", "run.workers=zero", "nothing=1"])
def test_a_wrong_override_is_refused(value: str, project: Project) -> None:
    done = project.build("--set", value)
    assert done.code == 2
    assert value.split("=", 1)[0].rsplit(".", 1)[-1] in done.err


def spoil(project: Project) -> list[Any]:
    """Spoils the pictures of 2 to 5, and gives more lines than records."""
    pictures = project.folder / "data" / "截图 1"
    whole = (pictures / "2.jpg").read_bytes()
    (pictures / "2.jpg").write_bytes(b"")
    (pictures / "3.jpg").write_bytes(whole[: len(whole) - 40])
    (pictures / "4.jpg").write_bytes(b"this is no picture at all, but a text that is long enough")
    (pictures / "5.jpg").unlink()
    return [
        *project.rows(),
        '{"id": "cut", "label": ',
        "[1, 2]",
        {"id": "r0", "label": LABELS[0]},
        {"id": "strange", "label": "退货页"},
        {"id": "none", "label": None},
        {"id": "outside", "image": "../../secret.jpg", "label": LABELS[0]},
        {"id": "list", "label": [LABELS[0]]},
    ]


EXPECTED = {
    "r2": ("image_empty", 3, "0 bytes"),
    "r3": ("image_truncated", 4, "cut short"),
    "r4": ("image_unreadable", 5, "4.jpg"),
    "r5": ("image_missing", 6, "no such file"),
    "train.jsonl:7": ("bad_json", 7, "column"),
    "train.jsonl:8": ("not_an_object", 8, "list"),
    "r0": ("duplicate_id", 9, "train.jsonl:1"),
    "strange": ("label_unknown", 10, "Did you mean `退货页面`?"),
    "none": ("label_missing", 11, "allow_missing"),
    "outside": ("image_outside", 12, "leaves its root"),
    "list": ("label_not_text", 13, "list"),
}


@pytest.mark.fault(
    "broken records among good ones",
    "each is a reject with its line; the good ones are built",
    kind="bounds",
)
def test_every_bad_record_is_a_reject_with_its_line_and_the_good_ones_are_built(project: Project) -> None:
    project.records(*spoil(project))
    done = project.build("--set", "run.max_reject_rate=1")
    assert done.code == 0
    rows = json.loads((project.folder / "build" / "shop" / "shop_train.json").read_text("utf-8"))
    assert [row["id"] for row in rows] == ["r0", "r1"]
    rejects = project.rejects()
    assert {reject["id"]: (reject["reason"], reject["source_line"]) for reject in rejects} == {
        id_: (reason, line) for id_, (reason, line, _) in EXPECTED.items()
    }
    for reject in rejects:
        assert EXPECTED[reject["id"]][2] in reject["detail"]
        assert reject["source_file"].endswith("train.jsonl")
    for reason, _, _ in EXPECTED.values():
        assert reason in done.out
    assert "Each with its source line: build/shop/rejects.jsonl" in done.out
    read = project.report()["steps"][0]
    assert (read["added"], read["records_out"]) == (13, 8)


def test_too_many_bad_records_fail_the_build_and_leave_their_account(project: Project) -> None:
    project.records(*spoil(project))
    done = project.program("build", "recipes/店 1.yaml", "--no-card")
    assert done.code == 1
    assert "11 of 13 records were rejected" in done.err
    assert "max_reject_rate" in done.err
    assert not (project.folder / "build" / "shop").exists()
    assert len(project.rejects("build/.shop.failed")) == 11


def test_all_records_rejected_is_told_with_an_example(project: Project) -> None:
    project.texts_only()
    project.records(*({"id": f"r{n}", "label": "别的"} for n in range(3)))
    done = project.build()
    assert done.code == 1
    assert "step 2 (guard.label) left no record: label_unknown 3" in done.err
    assert "train.jsonl:1): `别的` is not among the 2 labels" in done.err
    assert len(project.rejects("build/.shop.failed")) == 3


def test_a_class_with_one_record_is_warned_about_and_stays_in_training(project: Project) -> None:
    project.recipe(TEXT_RECIPE.replace("  - render", "  - curate.split: {val: 0.3}\n  - render"))
    rows = project.rows(pictures=False)
    project.records(*({**row, "label": LABELS[n == 0]} for n, row in enumerate(rows)))
    done = project.build()
    assert done.code == 0
    assert "Warning: guard.label: 1 of 2 labels have one record only: 退货页面" in done.out
    assert "Warning: curate.split: class 退货页面 is not in validation" in done.out
    train = json.loads((project.folder / "build" / "shop" / "shop_train.json").read_text("utf-8"))
    assert "r0" in [row["id"] for row in train]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_files_of_chinese_windows_are_read(encoding: str, project: Project) -> None:
    project.texts_only()
    text = (project.folder / "data" / "train.jsonl").read_text("utf-8")
    project.write("data/train.jsonl", text.encode(encoding))
    assert project.build().code == 0
    assert project.rejects() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "train.jsonl holds no record"),
        ("\n\n", "train.jsonl holds no record"),
    ],
)
def test_a_source_with_nothing_to_read_is_refused(content: Any, words: str, project: Project) -> None:
    project.write("data/train.jsonl", content)
    done = project.build()
    assert done.code == 2
    assert words in done.err
    assert "recipes/店 1.yaml:4:5" in done.err


@pytest.mark.fault("a folder cannot be written", "told before the work, with its name", kind="folders")
def test_a_folder_that_cannot_be_written_is_named(project: Project) -> None:
    project.texts_only()
    project.write(".datakit", "a file where a folder is needed")
    done = project.build()
    assert done.code == 2
    assert "cannot use the result store" in done.err
    (project.folder / ".datakit").unlink()
    project.write("build", "a file where a folder is needed")
    done = project.build()
    assert done.code == 2
    assert f"cannot write to {project.folder / 'build'}" in done.err
    (project.folder / "build").unlink()
    project.write("data_cards", "a file where a folder is needed")
    done = project.datakit("build", "recipes/店 1.yaml")
    assert done.code == 2
    assert f"cannot write to {project.folder / 'data_cards'}" in done.err
    assert not (project.folder / "build" / "shop").exists(), "told before the work, not after it"


@pytest.mark.fault(
    "`--out` names a folder or file of the user's",
    "refused; nothing is moved or deleted",
    kind="folders",
)
@pytest.mark.parametrize("out", ["data", "data/train.jsonl", "."])
def test_a_build_never_takes_the_place_of_something_else(out: str, project: Project) -> None:
    project.texts_only()
    before = sorted(path.relative_to(project.folder) for path in project.folder.rglob("*"))
    done = project.build("--out", out)
    assert done.code == 2
    assert "would take its place" in done.err
    assert sorted(path.relative_to(project.folder) for path in project.folder.rglob("*")) == before


@pytest.mark.fault(
    "the store is no database, or cannot be opened",
    "the first is set aside and told; the second ends the build in words",
    kind="store",
)
def test_a_damaged_store_is_told_from_one_that_cannot_be_opened(project: Project) -> None:
    project.texts_only()
    (project.folder / ".datakit").mkdir()
    project.write(".datakit/results.sqlite", b"this is no database " * 300)
    done = project.build()
    assert done.code == 0
    assert "The result store was damaged (file is not a database). 0 results were taken over" in done.err
    (aside,) = (project.folder / ".datakit").glob("damaged-*.sqlite")
    assert aside.read_bytes() == b"this is no database " * 300


@pytest.mark.fault("a build fails", "the last good build stays as it is", kind="folders")
def test_a_failed_build_leaves_the_last_good_one_as_it_is(project: Project) -> None:
    project.texts_only()
    assert project.build().code == 0
    before = (project.folder / "build" / "shop" / "manifest.json").read_bytes()
    project.records(*({"id": f"r{n}", "label": "别的"} for n in range(3)))
    assert project.build().code == 1
    assert (project.folder / "build" / "shop" / "manifest.json").read_bytes() == before
