"""Here, with datakit: screens, recipes, builds and bundles of all variants, packed as one archive."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from proof.variants import BATCH, MANY_STEPS, PICTURES, PIXELS, PROMPTS, STEPS, VARIANTS, Variant

ROOT = Path(__file__).resolve().parents[2]
SEEDS = {"train": 211, "held_out": 212}
GPU = "H100"
"""Of datakit's table: whose forecast stands beside what is measured."""
NOISE = 0.05
COMMON, RARE = 100, 8
"""Training screens of the commonest and the rarest class of the long tail."""
READ = """\
# recipes/read.yaml: what OCR reads on the screens as they were drawn
version: 1
name: read
seed: 7
labels: {root}/templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: ../data/screens.jsonl, image: image, label: label, image_root: ../../screens}}
  - annotate.ocr: {{engine: rapidocr, into: ocr}}
  - render.chat: {{prompt: plain.j2, answer: label_only, max_chars: 500}}
emit: [llamafactory]
run: {{max_reject_rate: 1.0, fail_on: []}}
"""
FIND = """\
# recipes/find.yaml: which labels of the noisy records the others doubt
version: 1
name: find
seed: 7
labels: {root}/templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: ../data/noisy.jsonl, image: image, label: label, {pictures}}}
  - curate.label_noise: {{}}
  - render.chat: {{prompt: plain.j2, answer: label_only, max_chars: 500}}
emit: [llamafactory]
run: {{max_reject_rate: 1.0, fail_on: []}}
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Amounts:
    """How many screens of each kind; multiples of the number of classes keep classes even."""

    train: int = 10_000
    twice: int = 20_000
    """Training screens of the recipe that has the most; drawn for it alone."""
    quarter: int = 2500
    """Of them, for all recipes but those two."""
    held_out: int = 400
    few: int = 300
    pool: int = 1200


def prepare(out: Path, trainer_python: str, amounts: Amounts, names: Sequence[str], workers: int) -> Path:
    """The archive that goes to the GPU machine. What a call before has made is taken as it is."""
    project, shipped = out / "project", out / "proof"
    (project / "recipes").mkdir(parents=True, exist_ok=True)
    (project / "templates").mkdir(exist_ok=True)
    for name, text in PROMPTS.items():
        (project / "templates" / f"{name}.j2").write_text(text, "utf-8")
    chosen = [one for one in VARIANTS if one.name in names]
    counts = counts_of(amounts, chosen)
    draw(out / "screens", counts, workers)
    facts: Row = {
        "steps": STEPS,
        "many_steps": {one.name: MANY_STEPS[one.name] for one in chosen if one.name in MANY_STEPS},
        "batch": BATCH,
        "pixels": PIXELS,
        "screens": vars(amounts),
    }
    rows = {part: rows_of(out / "screens", part, count) for part, count in counts.items()}
    shrink(out, [row["image"] for own in rows.values() for row in own])
    if any(one.needs_text for one in chosen):
        read_texts(project, [*rows["train"][: amounts.quarter], *rows["held_out"]])
    facts |= write_data(rows, project / "data", amounts)
    make_model(project / "model", trainer_python)
    if any(one.name == "corrected" for one in chosen):
        facts["correction"] = correct(project)
    facts["variants"] = {}
    for one in chosen:
        folder = build_one(one, project)
        facts["variants"][one.name] = about(folder, one)
        unpack(folder, shipped, one.name)
    for name in ("gpu_proof.py", "proof"):
        target = shipped / name
        shutil.rmtree(target, ignore_errors=True)
        source = ROOT / "scripts" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copytree(project / "model", shipped / "model", dirs_exist_ok=True)
    (shipped / "facts.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    archive = out / "proof.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=4) as tar:  # a picture of many variants is packed once
        tar.add(shipped, "proof")
    return archive


def counts_of(amounts: Amounts, chosen: Sequence[Variant]) -> dict[str, int]:
    """How many screens of each part these recipes need."""
    many = any(one.data == "twice" for one in chosen)
    return {"train": amounts.twice if many else amounts.train, "held_out": amounts.held_out}


def draw(folder: Path, counts: Mapping[str, int], workers: int) -> None:
    """screens/train and screens/held_out; a folder with its list is left as it is."""
    for part, count in counts.items():
        if (folder / part / "train.jsonl").is_file():
            continue
        shutil.rmtree(folder / part, ignore_errors=True)
        script = [sys.executable, str(ROOT / "scripts" / "draw_screens.py"), "--out", str(folder / part)]
        words = ["--count", str(count), "--seed", str(SEEDS[part]), "--workers", str(workers)]
        subprocess.run([*script, *words], check=True)


def shrink(out: Path, images: Sequence[str]) -> None:
    """small/: the pictures at the size of the training, so that no build scales them again."""
    for name in sorted({str(Path(image).parent) for image in images}):
        (out / "small" / name).mkdir(parents=True, exist_ok=True)
    missing = [image for image in images if not (out / "small" / image).is_file()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_shrink, [(out, image) for image in missing], chunksize=32))


def _shrink(job: tuple[Path, str]) -> None:
    from PIL import Image

    out, image = job
    with Image.open(out / "screens" / image) as opened:
        opened.draft("RGB", (opened.width // 2, opened.height // 2))
        picture = opened.convert("RGB")
    scale = (PIXELS / (picture.width * picture.height)) ** 0.5
    size = int(picture.width * scale), int(picture.height * scale)
    draft = (out / "small" / image).with_suffix(".part")
    picture.resize(size, Image.Resampling.BICUBIC).save(draft, "JPEG", quality=92, subsampling=0)
    draft.rename(out / "small" / image)


def read_texts(project: Path, rows: Sequence[Row]) -> None:
    """Puts what OCR reads on the screens as they were drawn into the rows, as `ocr_text`."""
    from datakit.library import build
    from datakit.opened_build import open_build

    (project / "data").mkdir(exist_ok=True)
    write_lines(project / "data" / "screens.jsonl", rows)
    path = project / "recipes" / "read.yaml"
    path.write_text(READ.format(root=ROOT), "utf-8")
    records = open_build(build(path, card=False).folder).records.select("id", "ocr_text").collect()
    texts = dict(records.iter_rows())
    for row in rows:
        row["ocr_text"] = texts[row["id"]]


def write_data(rows: Mapping[str, Sequence[Row]], folder: Path, amounts: Amounts) -> Row:
    """The files of records that the recipes read; what was planted and left out, in figures."""
    folder.mkdir(exist_ok=True)
    train = rows["train"]
    quarter = train[: amounts.quarter]
    held = [{**row, "given_split": "val"} for row in rows["held_out"]]
    end = amounts.few + amounts.pool
    noisy, planted = with_noise(quarter)
    files: dict[str, list[Row]] = {
        "twice": train,
        "train": train[: amounts.train],
        "quarter": quarter,
        "noisy": noisy,
        "few": quarter[: amounts.few],
        "pool": [
            {key: value for key, value in row.items() if key != "label"} for row in quarter[amounts.few : end]
        ],
        "tail": long_tail(quarter),
        "held_out": held,
    }
    for name, own in files.items():
        write_lines(folder / f"{name}.jsonl", own)
    truth = {row["id"]: row["label"] for row in train}
    (folder / "truth.json").write_text(json.dumps(truth, ensure_ascii=False), "utf-8")
    return {"planted": planted, "tail": sorted(Counter(row["label"] for row in files["tail"]).values())}


def write_lines(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def rows_of(screens: Path, part: str, count: int) -> list[Row]:
    """The first `count` screens of a part, with ids of their own and the side they are on."""
    lines = (screens / part / "train.jsonl").read_text("utf-8").splitlines()[:count]
    if len(lines) < count:
        raise SystemExit(f"{screens / part} has {len(lines)} screens, and {count} are wanted: remove it")
    rows = []
    for line in lines:
        row = json.loads(line)
        own = f"{part}-{row['id'].rpartition('-')[2]}"
        rows.append(
            {"id": own, "image": f"{part}/{row['image']}", "label": row["label"], "given_split": "train"}
        )
    return rows


def with_noise(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The rows with a share of labels replaced by any other one, and how many those are."""
    dice, names = Random("noise/7"), sorted({row["label"] for row in rows})
    wrong = set(dice.sample(range(len(rows)), round(NOISE * len(rows))))
    out = []
    for at, row in enumerate(rows):
        others = [name for name in names if name != row["label"]]
        out.append({**row, "label": dice.choice(others)} if at in wrong else row)
    return out, len(wrong)


def long_tail(rows: Sequence[Row]) -> list[Row]:
    """Fewer and fewer rows of each class, in an order of classes by chance."""
    names = sorted({row["label"] for row in rows})
    Random("tail/7").shuffle(names)
    most = {
        name: round(COMMON * (RARE / COMMON) ** (at / max(1, len(names) - 1)))
        for at, name in enumerate(names)
    }
    taken: Counter[str] = Counter()
    out = []
    for row in rows:
        taken[row["label"]] += 1
        if taken[row["label"]] <= most[row["label"]]:
            out.append(row)
    return out


def make_model(folder: Path, python: str) -> None:
    """The model's configuration, tokenizer and processor; its weights are drawn on the GPU machine."""
    if (folder / "config.json").is_file():
        return
    draft = folder.with_name("model.part")
    shutil.rmtree(draft, ignore_errors=True)
    words = ["--out", str(draft), "--dtype", "bfloat16", "--hidden", "256", "--layers", "4"]
    words += ["--vision-hidden", "256", "--vision-depth", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [python, str(ROOT / "scripts" / "make_tiny_model.py"), *words], check=True, env=environment
    )
    for weights in draft.glob("*.safetensors"):
        weights.unlink()
    path = draft / "config.json"
    config = json.loads(path.read_text("utf-8"))
    # Without flash attention transformers computes each window by itself: whole pictures take a fifth.
    config["vision_config"]["fullatt_block_indexes"] = list(range(config["vision_config"]["depth"]))
    path.write_text(json.dumps(config, indent=2), "utf-8")
    draft.rename(folder)


def build_one(one: Variant, project: Path) -> Path:
    """The build of a variant; unchanged, it is kept."""
    from datakit.library import build

    path = project / "recipes" / f"{one.name}.yaml"
    path.write_text(one.recipe(ROOT), "utf-8")
    result = build(path, card=False)
    print(f"{one.name}: {'unchanged' if result.report.reused else 'built'}", flush=True)
    return Path(result.folder)


def correct(project: Path) -> Row:
    """corrections.jsonl: every suspect relabelled to what the others say, and how right that was."""
    from datakit.artifacts.overrides import Override
    from datakit.core.judged import judged
    from datakit.core.suspect_columns import is_suspect
    from datakit.library import build
    from datakit.opened_build import open_build

    path = project / "recipes" / "find.yaml"
    path.write_text(FIND.format(root=ROOT, pictures=PICTURES), "utf-8")
    records = open_build(build(path, card=False).folder).records
    suspects = records.filter(is_suspect()).select("id", "label", "noise_label", "images").collect()
    truth = json.loads((project / "data" / "truth.json").read_text("utf-8"))
    lines, right, spoilt = [], 0, 0
    for row in suspects.rows(named=True):
        pictures = [hashlib.sha256(Path(image).read_bytes()).hexdigest() for image in row["images"]]
        label, new = row["label"], row["noise_label"]
        own = {"id": row["id"], "old": label, "new": new, "who": "rule", "build": "find"}
        lines.append(Override(judged=judged(label, pictures, [None]), action="relabel", **own).to_line())
        right += new == truth[row["id"]]
        spoilt += label == truth[row["id"]]
    (project / "data" / "corrections.jsonl").write_bytes(b"".join(lines))
    return {"relabelled": len(lines), "to_the_truth": right, "were_right": spoilt}


def about(folder: Path, one: Variant) -> Row:
    """What a build trains and what was planned for it."""
    from dataclasses import asdict

    import polars as pl

    from datakit.artifacts.build_folder import BuildFolder
    from datakit.bundling.needs import needs_of
    from datakit.training.machine import this_machine
    from datakit.training.memory_plan import of_recipe
    from datakit.training.run_folder import RunFolder

    build = BuildFolder(folder)
    recipe = folder.parents[1] / "recipes" / f"{one.name}.yaml"
    plan = of_recipe(recipe, (), folder, this_machine(gpus=1, gpu=GPU), gpus=1)
    rows = build.main.select("id", "label", "part").collect()
    train = rows.filter(pl.col("part") == "train")
    truth = json.loads((folder.parents[1] / "data" / "truth.json").read_text("utf-8"))
    wrong = sum(truth[id_.partition("~")[0]] != label for id_, label in train.select("id", "label").rows())
    serving = build.serving
    return {
        "change": one.change,
        "base": one.base,
        "train": train.height,
        "wrong_labels": wrong,
        "held_out": rows.filter(pl.col("part") == "val").height,
        "needs": asdict(needs_of(RunFolder.of(folder))),
        "serving": serving.model_dump(mode="json") if serving is not None else None,
        "step_s": plan.forecast.step_s if plan.forecast else None,
    }


def unpack(build: Path, shipped: Path, name: str) -> None:
    """The build's bundle, unpacked; pictures that another bundle has are links to one file."""
    from datakit.bundling.pack import bundle

    target = shipped / f"{name}-bundle"
    shutil.rmtree(target, ignore_errors=True)
    archive = shipped.with_name(f"{name}.tar")
    shipped.mkdir(exist_ok=True)
    bundle(build, archive)
    with tarfile.open(archive) as tar:
        tar.extractall(shipped, filter="data")
    archive.unlink()
    share((target / name / "images").glob("*"), shipped.with_name("pictures"))


def share(files: Iterable[Path], pool: Path) -> None:
    """Files of the same name and bytes as one of the pool become links to it; others come into the pool."""
    pool.mkdir(exist_ok=True)
    for file in files:
        one = pool / file.name
        if not one.exists():
            os.link(file, one)
        elif one.read_bytes() == file.read_bytes():
            file.unlink()
            os.link(one, file)
