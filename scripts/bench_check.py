#!/usr/bin/env python3
"""Rows a second that `datakit check` does on one core, beside LLaMA-Factory's own preprocessing.

    scripts/bench_check.py                                     the check alone
    .venv-trainer/bin/python scripts/bench_check.py --model tiny-qwen2_5_vl
                                                               both, where LLaMA-Factory is installed

The rows have the shipped screenshots and prompts of about 2,100 characters: one label block for all, texts of
the screens that differ. Seconds are those of the processor. scripts/make_tiny_model.py makes the model.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from datakit.checking.check import Check
from datakit.checking.training import Training
from datakit.core.labels import load_labels
from datakit.core.tokens import encoding

ROOT = Path(__file__).resolve().parent.parent
CHARS = 2_100


def write_rows(folder: Path, count: int, name: str, *, alike: bool) -> None:
    """A data set of `count` rows; with `alike` pictures are shared, else each row has a file of its own."""
    source = ROOT / "examples" / "ecom"
    labels = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
    screens = [json.loads(line) for line in (source / "ground_truth.jsonl").read_text("utf-8").splitlines()]
    texts = [line["text"] for screen in screens for line in screen["lines"]]
    rng = random.Random(1)
    rows = []
    for number in range(count):
        screen = screens[number % len(screens)]
        own = number % len(screens) if alike else number
        picture = folder / ("images" if alike else "own") / f"{own}.jpg"
        if not picture.exists():
            picture.parent.mkdir(exist_ok=True)
            shutil.copyfile(source / screen["image"], picture)
        prompt = f"<image>类别与说明：\n{labels.json_block}\n图中文字：\n"
        while len(prompt) < CHARS:
            prompt += f"{rng.choice(texts)} ¥{rng.uniform(1, 9_999):.2f}\n"  # no line comes twice
        messages = [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": prompt[:CHARS]},
            {"role": "assistant", "content": f'{{"label": "{screen["label"]}"}}'},
        ]
        images = [picture.relative_to(folder).as_posix()]
        row = {"id": f"r{number}", "messages": messages, "images": images}
        rows.append(json.dumps(row, ensure_ascii=False))
    (folder / f"{name}.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")


def write_index(folder: Path, names: list[str]) -> None:
    """dataset_info.json as emit.llamafactory writes it."""
    tags = {f"{role}_tag": role for role in ("role", "content", "user", "assistant", "observation", "system")}
    entry = {
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {**tags, "function_tag": "function_call"},
    }
    index = {name: {"file_name": f"{name}.json", **entry} for name in names}
    (folder / "dataset_info.json").write_text(json.dumps(index), "ascii")


def configuration(folder: Path, model: str, name: str) -> Path:
    """A train.yaml for one data set."""
    keys: dict[str, Any] = {
        "model_name_or_path": model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "dataset": name,
        "dataset_dir": str(folder),
        "media_dir": str(folder),
        "template": "qwen2_vl",
        "cutoff_len": 4096,
        "output_dir": str(folder / "out"),
        "overwrite_cache": True,
        "report_to": "none",
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(keys), "utf-8")
    return path


def rate(what: str, rows: int, work: Callable[[], Any]) -> float:
    """Rows a processor second, printed."""
    began = time.process_time()
    with redirect_stdout(io.StringIO()):  # the trainer shows its first example
        work()
    seconds = time.process_time() - began
    print(f"{what:44} {rows:7,} rows  {seconds:7.2f} CPU s  {rows / seconds:9,.0f} rows/s")
    return rows / seconds


def checked(path: Path) -> None:
    """Checks, and refuses a fault: the figures are those of whole rows."""
    report = Check(Training.load(path)).run()
    assert report.findings.all == [], report.findings.all[:3]


def preprocessed(path: Path) -> Callable[[], Any]:
    """LLaMA-Factory's own work on the same rows, without the loading of its packages."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model, data, training, finetuning, _ = get_train_args(yaml.safe_load(path.read_text("utf-8")))
    loaded = load_tokenizer(model)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
    return lambda: get_dataset(template, model, data, training, stage=finetuning.stage, **loaded)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000, help="rows for the check (default: 20,000)")
    parser.add_argument("--model", help="folder of a small Qwen2.5-VL; without it only the check is measured")
    parser.add_argument("--trainer-rows", type=int, default=300, help="rows for LLaMA-Factory (default: 300)")
    parser.add_argument("--json", action="store_true", help="the figures again, as JSON in the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_rows(folder, options.rows, "many", alike=True)
        write_rows(folder, 2_000, "own", alike=False)
        write_rows(folder, options.trainer_rows, "few", alike=True)
        write_index(folder, ["many", "own", "few"])
        model = options.model or "Qwen/Qwen2.5-VL-7B-Instruct"
        encoding()  # the vocabulary is loaded once a process
        many = configuration(folder, model, "many")
        ours = rate("datakit check, 200 pictures", options.rows, lambda: checked(many))
        own = configuration(folder, model, "own")
        apart = rate("datakit check, a picture a row", 2_000, lambda: checked(own))
        figures = {"check_per_s": round(ours), "check_own_pictures_per_s": round(apart)}
        if options.model:
            work = preprocessed(configuration(folder, model, "few"))
            theirs = rate("LLaMA-Factory's preprocessing", options.trainer_rows, work)
            print(f"The check is {ours / theirs:,.0f} times as quick.")
            figures["trainer_per_s"] = round(theirs)
        if options.json:
            print(json.dumps(figures))


if __name__ == "__main__":
    main()
