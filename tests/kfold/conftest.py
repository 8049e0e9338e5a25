"""A recipe of eighteen drawn screens of one size in three classes, and what trains and serves its folds."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.kfold import KfoldFolder
from datakit.artifacts.predictions import Prediction, write
from datakit.cli import run
from datakit.core.qwen_models import qwen_model
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens
from datakit.training.run_folder import RunFolder
from tests.support import fake_trainer, fake_vllm
from tests.support.train_builds import trainer

__all__ = ["folds", "trainer"]

LABELS = ("购物车页面", "退款页面", "首页")
RECIPE = """\
name: screens
labels: labels.yaml
steps:
  - read.jsonl: {path: rows.jsonl, image: image, label: label}
  - annotate.image_facts: {}
  - curate.split: {val: 0.25, stratify: label, group: session, same_text: null}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
train: {model: ./base, method: lora}
"""


@dataclass
class Folds:
    """The recipe, and `datakit kfold` on it."""

    recipe: Path
    trainer: Path
    vllm: Path
    port: int
    capsys: pytest.CaptureFixture[str]
    output: str = field(default="", init=False)

    @property
    def folder(self) -> KfoldFolder:
        return KfoldFolder(self.recipe.parent.parent / "build" / "screens.kfold")

    def go(self, *words: str) -> int:
        """`datakit kfold --k 3`; its exit code. What it printed is in `output`."""
        code = run(["kfold", str(self.recipe), "--k", "3", "--quiet", *words])
        captured = self.capsys.readouterr()
        self.output = captured.out + captured.err
        return code

    def run(self, *words: str) -> int:
        """The same with --run and everything that it needs."""
        return self.go("--run", "--cpu", "--port", str(self.port), "--vllm", str(self.vllm), *words)

    def json(self, *words: str) -> dict[str, Any]:
        run(["kfold", str(self.recipe), "--k", "3", "--json", *words])
        document: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return document

    def trainings(self) -> int:
        return sum(call["words"][0] == "train" for call in fake_trainer.calls(self.trainer.parent))

    def edit(self, old: str, new: str) -> None:
        text = self.recipe.read_text("utf-8")
        assert old in text
        self.recipe.write_text(text.replace(old, new), "utf-8")

    def answers(self, number: int) -> Path:
        """Where the answers of a fold lie."""
        place = RunFolder.of(self.folder.fold(number)).folder
        return place / f"predictions_val_{place.name}.jsonl"

    def predict(self, number: int, predicted: Callable[[str, str], str] = lambda id_, label: label) -> None:
        """Writes the answers of a fold as a server would have given them."""
        rows = self.validation(number)
        write(
            self.answers(number),
            [
                Prediction(
                    id=id_,
                    label=label,
                    predicted=predicted(id_, label),
                    probabilities={name: 0.8 if name == predicted(id_, label) else 0.1 for name in LABELS},
                    confidence=0.8,
                    answer=label,
                )
                for id_, label in rows
            ],
        )

    def validation(self, number: int) -> list[tuple[str, str]]:
        """Id and label of the records that a fold predicts."""
        build = self.folder.build(number)
        items = split_items(build, "val")
        return [(item.id, str(item.label)) for item in items]


@pytest.fixture
def folds(
    tmp_path: Path,
    trainer: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Folds:
    for name in ("DATAKIT_VLLM", "VLLM_API_KEY", "FAKE_VLLM", "FAKE_ANSWER"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "recipes"
    (folder / "pictures").mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "ask.j2").write_text("<image>这是哪一类？\n{{ answer_format }}", "utf-8")
    (folder / "labels.yaml").write_text(f"labels: [{', '.join(LABELS)}]\n", "utf-8")
    rows = []
    for at in range(18):
        Image.new("RGB", (112, 112), (at * 14, 255 - at * 14, at * 7)).save(folder / "pictures" / f"{at}.png")
        rows.append(
            {
                "id": f"s{at:02d}",
                "image": f"pictures/{at}.png",
                "label": LABELS[at % 3],
                "session": f"g{at // 2}" if at < 6 else None,
            }
        )
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "rows.jsonl").write_text(lines + "\n", "utf-8")
    (folder / "screens.yaml").write_text(RECIPE, "utf-8")
    fake_trainer.write_base(folder / "base")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Folds(folder / "screens.yaml", trainer, fake_vllm.install(tmp_path / "vllm"), port, capsys)


@pytest.fixture
def counted(folds: Folds, monkeypatch: pytest.MonkeyPatch) -> Folds:
    """The folds built, and a server that counts the tokens of their prompts as the training does."""
    assert folds.go() == 0
    build = BuildFolder(folds.folder.fold(1))
    item = split_items(build, "val")[0]
    model = qwen_model(str(build.training["model_name_or_path"]))
    count = prompt_tokens(build, item.messages, tuple(map(str, item.images)), model)
    monkeypatch.setenv("FAKE_PROMPT_TOKENS", str(count))
    return folds
