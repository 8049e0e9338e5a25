"""The example with wrong labels is what its script writes, and says which labels are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from datakit.core.labels import load_labels

ROOT = Path(__file__).resolve().parent.parent
ECOM = ROOT / "examples" / "ecom"


def labels_in(name: str) -> dict[str, str]:
    rows = map(json.loads, (ECOM / name).read_text("utf-8").splitlines())
    return {row["id"]: row["label"] for row in rows}


def test_the_script_writes_the_same_file_again(tmp_path: Path) -> None:
    call = [sys.executable, str(ROOT / "scripts" / "make_noisy_example.py"), "--out", str(tmp_path)]
    subprocess.run(call, check=True, capture_output=True)
    assert (tmp_path / "train_noisy.jsonl").read_bytes() == (ECOM / "train_noisy.jsonl").read_bytes()


def test_seven_labels_are_those_of_neighbours_and_the_readme_names_each() -> None:
    right, noisy = labels_in("train.jsonl"), labels_in("train_noisy.jsonl")
    wrong = {id_: label for id_, label in noisy.items() if right[id_] != label}
    assert (len(wrong), len(set(wrong.values())), list(right)) == (7, 7, list(noisy))
    labels = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
    readme = (ECOM / "README.md").read_text("utf-8")
    for id_, label in wrong.items():
        neighbour = labels.find(right[id_])
        assert neighbour is not None
        assert label in neighbour.confusable_with
        assert f"| {id_} | {right[id_]} | {label} |" in readme
