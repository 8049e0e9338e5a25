"""What a bundle carries works on Python 3.10 with four packages, and gives what datakit gives."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.bundling import light
from datakit.bundling.packed import packed_of
from datakit.core.contract import FORMS
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.library import build
from datakit.render.chat import ANSWERS
from datakit.serving.asking import contents
from datakit.serving.records import split_items
from datakit.serving.requirements import rooms_of
from datakit.training.run_folder import RunFolder
from tests.support import light_work
from tests.support.evaluated_builds import as_packed, write_answers
from tests.support.fake_trainer import install

ROOT = Path(__file__).resolve().parent.parent
RECIPE = """\
name: small
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {path: ../train.jsonl, image: image, label: label, image_root: /}
  - curate.split: {val: 0.5, stratify: label}
  - render.chat:
      prompt: ecom/classify.j2
      answer: ecom/reason_then_label.j2
      shrink: [ocr_text, description]
emit: [llamafactory]
train: {model: Qwen/Qwen2.5-VL-3B-Instruct, method: lora, deepspeed: z2}
"""
TEXTS = (
    "退款页面",
    "类别：退款页面",
    "理由：写着“退款中”\n类别：退款页面",
    "理由: 写着退款\n类别: 退货页面。\n类别: 退款页面",
    "描述：一张截图\n理由：有按钮\n类别：購物車",
    "类别：不存在的页面",
    "我不知道",
    " ",
)
RAW = (
    '{"reason": "有“退款”字样"}',
    '```json\n{"topic": "退货(含换货)", "ok": true,}\n```',
    "<think>{}</think>无",
)
NEWER = {"UTC", "Self", "StrEnum", "file_digest", "ExceptionGroup", "TaskGroup", "tomllib", "assert_never"}
"""Names of Python 3.11 that are easily written."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """A build of the example screens with descriptions, reasons and texts, some of them too long."""
    project = tmp_path_factory.mktemp("light")
    shutil.copytree(ROOT / "templates", project / "templates")
    (project / "recipes").mkdir()
    (project / "recipes" / "small.yaml").write_text(RECIPE, "utf-8")
    screens = ROOT / "examples" / "ecom"
    with open(project / "train.jsonl", "w", encoding="utf-8") as file:
        for number, line in enumerate((screens / "train.jsonl").read_text("utf-8").splitlines()):
            row = json.loads(line)
            row |= {
                "image": str(screens / row["image"]),
                "ocr_text": "\n".join([f"¥{number}.90 <image> 退款"] * (1 + 40 * (number % 5))),
                "description": None if number % 3 else f"第{number}张截图。有按钮。",
                "reason": f"写着“{row['label'][:2]}”字样 {number}",
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    folder = build(project / "recipes" / "small.yaml", card=False).folder
    return BuildFolder.open(folder)


@pytest.fixture(scope="module")
def folder(made: BuildFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is to be done, with the build's own files; beside it only the modules that a bundle carries."""
    place = tmp_path_factory.mktemp("bundle")
    for name, file in light.carried().items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place / name)
    for name in ("answer.json", "emitted.json", *made.entries.values()):
        (place / "build").mkdir(exist_ok=True)
        shutil.copyfile(made.path / name, place / "build" / name)
    shutil.copytree(made.path / "templates", place / "build" / "templates")
    assert made.labels is not None
    (place / "build" / "labels.json").write_bytes(made.labels.to_json())
    (place / "build" / "packed.json").write_bytes(packed_of(made).to_line())
    (place / "task.json").write_text(json.dumps(task_of(made, place)), "utf-8")
    install(place / "trainer")
    shutil.copyfile(light_work.__file__, place / "light_work.py")
    return place


def task_of(made: BuildFolder, place: Path) -> dict[str, Any]:
    """The records, texts and files that the work is about."""
    frame = made.main.filter(pl.col("part") == "val").collect()
    names = ("id", "images", "label", "ocr_text", "description", "reason")
    rows = {row["id"]: row for file in made.data_files.values() for row in made.lines(file.file)}
    files = [
        write_answers(made.path, place / "first.jsonl", lambda n, label, all_: None if n % 9 == 4 else label),
        write_answers(
            made.path,
            place / "second.jsonl",
            lambda n, label, all_: all_[(all_.index(label) + n % 2) % len(all_)] if n % 3 == 1 else label,
        ),
    ]
    token = {"token": "退", "logprob": -0.25, "top_logprobs": [{"token": "退", "logprob": -0.25}]}
    token["top_logprobs"].append({"token": "购物车", "logprob": -1.75})  # type: ignore[attr-defined]
    rest = {"token": "款页面", "logprob": -0.5, "top_logprobs": [{"token": "货页面", "logprob": -1.5}]}
    return {
        "prompt_templates": ["ecom/classify.j2"],
        "writer": {
            "system": "You are a helpful assistant.",
            "max_chars": 2500,
            "max_tokens": None,
            "shrink": ["ocr_text", "description"],
            "count_tokens": False,
        },
        "records": frame.select(names).to_dicts(),
        "emitted": [rows[id_]["messages"] for id_ in frame["id"]],
        "truths": frame.select("id", "label").rows(),
        "images": {id_: row["images"] for id_, row in rows.items()},
        "templates": str(ROOT / "templates"),
        "forms": {**ANSWERS, "reason_then_label": ["ecom/reason_then_label.j2"]},
        "contracts": list(FORMS),
        "texts": TEXTS,
        "raw": RAW,
        "completion": {
            "choices": [
                {
                    "message": {"content": "退款页面", "reasoning_content": "写着退款"},
                    "finish_reason": "STOP",
                    "logprobs": {"content": [token, rest]},
                }
            ],
            "usage": {"prompt_tokens": "100", "completion_tokens": 3},
        },
        "predictions": [str(file) for file in files],
        "seed": 7,
        "picture": frame["images"][0][0],
    }


@pytest.fixture(scope="module")
def here(folder: Path) -> dict[str, Any]:
    """The work done in this process, with all of datakit."""
    found: dict[str, Any] = orjson.loads(json.dumps(light_work.work(folder)))
    return found


def run(python: str | Path, folder: Path, *options: str) -> dict[str, Any]:
    """What light_work.py prints in another Python that sees the carried modules and no others of datakit."""
    own = ("PYTHON", "VIRTUAL_ENV", "PYTEST_", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        [str(python), str(folder / "light_work.py"), str(folder), *options],
        env={**environment, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_prompts_and_answers_are_the_emitted_ones(here: dict[str, Any], folder: Path) -> None:
    emitted = json.loads((folder / "task.json").read_text("utf-8"))["emitted"]
    assert [messages for messages, _, _ in here["prompts"]] == emitted
    assert {rung for _, _, rung in here["prompts"]} >= {0, 1}  # some were too long


def test_every_answer_form_is_read(here: dict[str, Any]) -> None:
    assert set(here["answers"]) == {*ANSWERS, "reason_then_label"}
    problems = {problem for answers in here["answers"].values() for _, problem, _, _ in answers}
    assert problems >= {"", "empty", "label_missing", "label_unknown", "label_ambiguous"}
    assert here["asked"]["prediction"]["predicted"] == "退款页面"
    assert here["asked"]["prediction"]["thinking"] == "写着退款"
    assert here["asked"]["prediction"]["tokens_in"] == 100
    assert here["asked"]["prediction"]["confidence"] == pytest.approx(0.6, abs=0.2)


def test_every_contract_is_written_read_and_rewarded(here: dict[str, Any]) -> None:
    assert set(here["contracts"]) == set(FORMS)
    for form, found in here["contracts"].items():
        assert found["reward"] == {"format": 1.0, "accuracy": 1.0}, form
        assert "回答" in found["prompt"] or "只写" in found["prompt"]
        problems = {problem for _, problem in found["read"]}
        assert "empty" in problems


def test_scores_are_those_of_the_evaluation(here: dict[str, Any], folder: Path, made: BuildFolder) -> None:
    task = json.loads((folder / "task.json").read_text("utf-8"))
    scored = evaluate(made, [Path(file) for file in task["predictions"]], Options())
    for one, there in zip(scored, here["scores"], strict=True):
        wanted = json.loads(json.dumps(one.evaluation.document()))
        pairs = [as_packed(pair) for pair in wanted["pairs"]]
        own = {"date": "", "proposals": [], "run": there["run"], "pairs": pairs}
        compared = [
            {**each, "run": other["run"]}
            for each, other in zip(wanted["compared_with"], there["compared_with"], strict=True)
        ]
        assert there == {**wanted, **own, "compared_with": compared}
    assert here["scores"][1]["pairs"]
    assert here["scores"][1]["compared_with"]


def test_stages_take_records_and_rooms_out_of_what_is_packed(here: dict[str, Any], made: BuildFolder) -> None:
    rooms, items = rooms_of(made), split_items(made, "val")
    assert here["stages"]["rooms"] == [list(rooms.trained), rooms.longest_prompt]
    asked = [
        rooms.asked_tokens(str(item.id), *contents(item.messages), list(map(str, item.images)))
        for item in items
    ]
    assert here["stages"]["asked"] == asked
    assert max(asked) <= rooms.longest_prompt
    labels = {id_: label for id_, label, _ in here["stages"]["items"]}
    assert labels == {item.id: item.label for item in split_items(made, "val")}


def test_results_of_a_run_are_packed_for_home(here: dict[str, Any], made: BuildFolder) -> None:
    name, content, run, files = here["results"]
    assert (name, content, run) == (made.report.name, made.manifest.content, "lora-1a2b3c")
    assert list(files) == ["predictions_val_lora-1a2b3c.jsonl"]


def test_trainings_of_an_ablation_are_compared(here: dict[str, Any]) -> None:
    names, code, records, effects, is_on_page = here["ablation"]
    assert (names, code, is_on_page) == (["base-s1", "other-s1"], 0, True)
    assert records > 10
    assert effects["other"][1] in ("noise", "hurts")


def test_trainer_and_server_are_called_by_what_is_packed(here: dict[str, Any], made: BuildFolder) -> None:
    work = here["processes"]
    base = "model_name_or_path=Qwen/Qwen2.5-VL-3B-Instruct"
    assert work["train"] == [["train", "train.yaml", base, "seed=3"], "build"]
    assert work["export"] == ["export", "export.yaml", base]
    assert work["deepspeed"] == RunFolder.of(made.path).deepspeed()
    assert work["deepspeed"]["zero_optimization"]["stage"] == 2
    pixels = "--mm-processor-kwargs"
    assert pixels in work["serve"][0]
    assert work["serve"][1][work["serve"][1].index("--max-model-len") + 1] == "16256"


def test_words_of_a_bundle_name_its_stages(here: dict[str, Any]) -> None:
    assert here["call"] == [
        [["train", "export"], ""],
        [[], "predict"],
        [["export", "train"], "train"],
        [["train"], "train"],
        [["check"], ""],
    ]


def test_labels_numbers_and_texts_are_scored(here: dict[str, Any]) -> None:
    found = here["values"]
    assert found["number"]["problems"] == {"not_a_number": 1}
    assert found["number"]["metrics"]["mae"]["value"] == 0.25
    assert found["labels"]["metrics"]["micro_f1"]["value"] == pytest.approx(2 * 2 / 6)
    assert [score["exact_match"] for score in found["text"]["scores"]] == [0.0, 1.0, 0.0]


def test_carried_modules_do_without_other_packages(here: dict[str, Any], folder: Path) -> None:
    found = run(sys.executable, folder, "--refuse")
    assert set(found["modules"]) == set(light.MODULES)
    assert found["work"] == here


def test_carried_modules_name_nothing_newer_than_python_3_10() -> None:
    for file in light.carried().values():
        tree = ast.parse(file.read_text("utf-8"), feature_version=(3, 10))
        for node in ast.walk(tree):
            names = {
                *(alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)),
                *([node.attr] if isinstance(node, ast.Attribute) else ()),
                *([node.id] if isinstance(node, ast.Name) else ()),
            }
            assert not names & NEWER, f"{file.name}:{node.lineno}"


@pytest.mark.clean_install
def test_carried_modules_work_on_python_3_10(
    here: dict[str, Any], folder: Path, bare_python_3_10: Path
) -> None:
    found = run(bare_python_3_10, folder)
    assert found["python"] == [3, 10]
    assert found["work"] == here
