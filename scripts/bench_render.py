#!/usr/bin/env python
"""Measures a build of rendered text records against a hand-written jinja2 + orjson loop over the same work.

    python scripts/bench_render.py --records 200000 --check

Both read the same JSON lines, render the 25-label prompt (about 2,100 characters with 300 of OCR text), leave
out prompts that are too long and write the same JSON array; the messages are compared record by record. The
build is the command datakit build with read.jsonl, render.chat, guard.prompt_length and emit.llamafactory,
from the start of its process to its end, without the check of the finished build, which the loop does not do
either. CPU seconds of whole processes decide, because wall time depends on what else the machine does. Exit 1
with --check when a bound is exceeded.

--prompt chooses the template:

- plain: the OCR text is put in as it is, so that the template's constant part separates
- shipped: ecom/classify_v2.j2, with datakit's own filters, which the loop is given too
- loop: the OCR text line by line in a loop of Jinja, so that each record is rendered whole

- quarter: a build of a quarter of the records, to show whether memory grows
- checked: the build with its check (scripts/bench_check.py compares that with the trainer)
- rebuild: the same command again, with nothing changed
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cost import cost_of

ROOT = Path(__file__).resolve().parent.parent
MAX_RATIOS = {"plain": 0.8, "shipped": 1.2, "loop": 1.2}
MAX_MB = 600
MAX_REBUILD_S = 3.0
MOST_CHARS = 2_500
WORDS = "订单支付物流退款页面商品详情评价店铺优惠券加入购物车立即购买¥0123456789，。 "
PROMPTS = {"plain": "plain.j2", "shipped": "ecom/classify_v2.j2", "loop": "loop.j2"}
TEXTS = {"plain": "{{ ocr_text }}", "loop": "{% for line in ocr_text.splitlines() %}{{ line }}\n{% endfor %}"}
TEMPLATE = """\
{% for _ in images %}<image>{% endfor %}请判断这张图片属于下列哪一个类别。
类别：
{{ label_json }}
{% if ocr_text %}图中文字：
OCR
{% endif %}只回答类别名称，写法与上面完全一致，不要解释，也不要添加其他文字。
"""
RECIPE = """\
version: 1
name: bench
labels: ../labels.yaml
steps:
  - read.jsonl: {path: ../rows.jsonl, label: label}
  - render.chat: {prompt: PROMPT, answer: label_only, max_chars: MOST, shrink: [ocr_text]}
  - guard.prompt_length: {max_chars: MOST}
emit:
  - llamafactory: {}
"""


def main() -> int:
    """Runs the comparison and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--prompt", choices=PROMPTS, default="plain", help="which template (default: plain)")
    parser.add_argument("--rounds", type=int, default=1, help="repeat both; the cheapest of each counts")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bound is exceeded")
    parser.add_argument("--hand", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.hand:
        by_hand(arguments.hand, arguments.prompt)
        return 0
    with tempfile.TemporaryDirectory(prefix="bench_render.") as folder:
        figures = compare(Path(folder), arguments.records, arguments.rounds, arguments.prompt)
    print(json.dumps(figures, indent=2) if arguments.json else table(figures))
    bounds = [
        figures["ratio"] <= MAX_RATIOS[arguments.prompt],
        figures["build"]["peak_mb"] < MAX_MB,
        figures["rebuild"]["wall_s"] < MAX_REBUILD_S,
    ]
    return int(arguments.check and not all(bounds))


def compare(folder: Path, records: int, rounds: int, prompt: str) -> dict[str, Any]:
    """The numbers of both ways; raises SystemExit where their messages differ."""
    write_project(folder, records, prompt)
    hand_command = [sys.executable, __file__, "--prompt", prompt, "--hand", str(folder)]
    hand, build = [], []
    for _ in range(rounds):
        hand.append(cost_of(hand_command))
        build.append(cost_of([*build_command(folder), "--no-check", "--force"]))
    write_project(folder / "quarter", records // 4, prompt)
    quarter = cost_of([*build_command(folder / "quarter"), "--no-check"])
    report = json.loads((folder / "build" / "bench" / "report.json").read_bytes())
    checked = cost_of([*build_command(folder), "--force"])
    rebuild = cost_of(build_command(folder))
    same(folder / "hand.json", folder / "build" / "bench" / "bench_train.json", records)
    best_hand, best = (min(costs, key=lambda cost: cost.cpu_s) for costs in (hand, build))
    return {
        "records": records,
        "prompt": prompt,
        "hand": asdict(best_hand),
        "build": asdict(best),
        "quarter": asdict(quarter),
        "checked": asdict(checked),
        "rebuild": asdict(rebuild),
        "ratio_checked": round(checked.cpu_s / best_hand.cpu_s, 2),
        "check_adds": round(checked.cpu_s / best.cpu_s - 1, 2),
        "ratio": round(best.cpu_s / best_hand.cpu_s, 2),
        "ratio_wall": round(best.wall_s / best_hand.wall_s, 2),
        "steps_s": {step["name"]: step["seconds"] for step in report["steps"]},
    }


def build_command(folder: Path) -> list[str]:
    """The command that builds the project."""
    recipe = folder / "recipes" / "bench.yaml"
    return [sys.executable, "-m", "datakit.cli", "build", str(recipe), "--quiet", "--no-card"]


def write_project(folder: Path, records: int, prompt: str) -> None:
    """A project with labels, a recipe, a prompt and rows of a label and an OCR text of 300 characters."""
    import yaml

    labels = (ROOT / "templates" / "ecom" / "labels.yaml").read_text("utf-8")
    (folder / "recipes").mkdir(parents=True)
    (folder / "labels.yaml").write_text(labels, "utf-8")
    recipe = RECIPE.replace("PROMPT", PROMPTS[prompt]).replace("MOST", str(MOST_CHARS))
    (folder / "recipes" / "bench.yaml").write_text(recipe, "utf-8")
    (folder / "templates").mkdir()
    for name, text in TEXTS.items():
        (folder / "templates" / PROMPTS[name]).write_text(TEMPLATE.replace("OCR", text), "utf-8")
    names = [label["name"] for label in yaml.safe_load(labels)["labels"]]
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        for row in rows(records, names):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def rows(records: int, names: list[str]) -> Iterator[dict[str, str]]:
    """Rows with ten lines of text each."""
    rng = random.Random(7)
    for number in range(records):
        lines = ["".join(rng.choices(WORDS, k=29)).strip() or "空" for _ in range(10)]
        yield {"id": f"r{number:07d}", "label": names[number % len(names)], "ocr_text": "\n".join(lines)}


def by_hand(folder: Path, prompt: str) -> None:
    """The loop that one writes by hand: the label block rendered once, a template per record."""
    import jinja2
    import orjson
    import yaml

    labels = yaml.safe_load((folder / "labels.yaml").read_bytes())["labels"]
    block = {label["name"]: label["description"] for label in labels}
    label_json = orjson.dumps(block, option=orjson.OPT_INDENT_2).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder / "templates", ROOT / "templates"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    if prompt == "shipped":
        from datakit.core.template_filters import FILTERS

        environment.filters.update(FILTERS)
    template = environment.get_template(PROMPTS[prompt])
    with open(folder / "rows.jsonl", "rb") as lines, open(folder / "hand.json", "wb") as out:
        start = b"[\n"
        for line in lines:
            row = orjson.loads(line)
            user = template.render(images=(), label_json=label_json, ocr_text=row["ocr_text"])
            if len(user) > MOST_CHARS:
                continue
            messages = [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": user},
                {"role": "assistant", "content": row["label"]},
            ]
            out.write(start + orjson.dumps({"id": row["id"], "messages": messages, "images": []}))
            start = b",\n"
        out.write(b"\n]\n")


def same(hand: Path, built: Path, records: int) -> None:
    """Raises SystemExit unless both files hold the same messages in the same order, byte for byte."""
    import orjson

    count = 0
    with open(hand, "rb") as first, open(built, "rb") as second:
        for hand_line, built_line in zip(first, second, strict=True):
            if hand_line.startswith(b"{"):
                hand_row, built_row = (orjson.loads(line.rstrip(b",\n")) for line in (hand_line, built_line))
                if orjson.dumps([hand_row["id"], hand_row["messages"]]) != orjson.dumps(
                    [built_row["id"], built_row["messages"]]
                ):
                    raise SystemExit(
                        f"record {hand_row['id']} differs: {hand_row['messages']} {built_row['messages']}"
                    )
                count += 1
    if count != records:
        raise SystemExit(f"compared {count} records of {records}")


def table(figures: dict[str, Any]) -> str:
    """The numbers for people."""
    title = f"{figures['records']:,} records, prompt {figures['prompt']}, messages equal"
    lines = [title, f"{'':10}{'CPU s':>8}{'wall s':>8}{'MB':>8}"]
    for name in ("hand", "build", "quarter", "checked", "rebuild"):
        cost = figures[name]
        lines.append(f"{name:10}{cost['cpu_s']:8.2f}{cost['wall_s']:8.2f}{cost['peak_mb']:8.0f}")
    most = f"(at most {MAX_RATIOS[figures['prompt']]} CPU)"
    lines.append(f"ratio     {figures['ratio']:8.2f}{figures['ratio_wall']:8.2f}   {most}")
    lines.append(f"checked   {figures['ratio_checked']:8.2f}   the check adds {figures['check_adds']:.0%}")
    lines.append("steps     " + ", ".join(f"{name} {s} s" for name, s in figures["steps_s"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
