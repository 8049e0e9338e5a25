"""Checks a bundle before anything is started: checksums, counts, pictures, GPUs, versions, a made model.

Runs with a bare Python of 3.10 or later. Ends with 1 when something is wrong.

    python3 check.py FOLDER [--gpus 4] [--cpu]        the bundle and this machine
    python3 check.py FOLDER --model SERVED            a model that the export made
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import struct
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"
PROCESSOR = ("preprocessor_config.json", "processor_config.json")
TEMPLATE = ("chat_template.jinja", "chat_template.json")


def check_sums(folder: Path) -> list[str]:
    """Files that are missing or were changed since the bundle was packed."""
    wrong = []
    for line in (folder / SUMS).read_text("utf-8").splitlines():
        expected, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
            continue
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
        if digest.hexdigest() != expected:
            wrong.append(f"{name} was changed since the bundle was packed")
    return wrong


def check_data(data: Path) -> list[str]:
    """Rows and pictures against what the build says."""
    wrong = []
    emitted = json.loads((data / "emitted.json").read_text("utf-8"))
    missing = set()
    for entry in emitted["files"].values():
        rows = json.loads((data / entry["file"]).read_text("utf-8"))
        if len(rows) != entry["rows"]:
            wrong.append(f"{entry['file']} has {len(rows)} rows, the build had {entry['rows']}")
        images = {image for row in rows for image in row.get("images") or ()}
        missing |= {image for image in images if not (data / image).is_file()}
    if missing:
        wrong.append(f"{len(missing)} pictures are missing, such as {min(missing)}")
    return wrong


def check_machine(gpus: int, cpu: bool) -> list[str]:
    """GPUs that nvidia-smi lists; versions are only told."""
    for name in ("llamafactory", "transformers", "torch", "deepspeed", "vllm"):
        try:
            print(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"{name} is not in this Python (its command may live in another environment)")
    if cpu:
        return []
    program = shutil.which("nvidia-smi")
    if program is None:
        return ["nvidia-smi is not here: is there a GPU? CPU=1 trains a tiny model without"]
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    listed = [line for line in result.stdout.splitlines() if line.strip()]
    print("\n".join(listed))
    if len(listed) < gpus:
        return [f"the training wants {gpus} GPUs on this node, nvidia-smi lists {len(listed)}"]
    return []


def tensors(folder: Path) -> dict[str, list[int]]:
    """Tensor name -> shape of a model's safetensors files, from their headers."""
    shapes: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if path.stat().st_size != 8 + length + end:
            raise SystemExit(f"error: {path} is cut short")
        shapes.update({_plain(name): entry["shape"] for name, entry in header.items()})
    return shapes


def _plain(name: str) -> str:
    """One spelling for the two in which transformers has written these models."""
    for old, new in (
        ("model.language_model.", "model."),
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("model.visual.", "visual."),
    ):
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def check_model(folder: Path, base: Path | None) -> list[str]:
    """Why a made model would not serve."""
    wrong = []
    if not (folder / "config.json").is_file():
        return [f"{folder} has no config.json"]
    shapes = tensors(folder)
    if not shapes:
        wrong.append("there are no weights")
    for what, names in (
        ("processor", PROCESSOR),
        ("chat template", TEMPLATE),
        ("tokenizer", ("tokenizer.json",)),
    ):
        if not any((folder / name).is_file() for name in names):
            wrong.append(f"the {what} is missing: none of {', '.join(names)}")
    if base is not None and base.is_dir():
        expected = tensors(base)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        tied = {"lm_head.weight"} if config.get("tie_word_embeddings") else set()
        missing = set(expected) - set(shapes) - tied
        extra = set(shapes) - set(expected) - tied if expected else set()
        reshaped = [name for name in shapes if name in expected and shapes[name] != expected[name]]
        for words, odd in (
            ("missing", missing),
            ("not in the base model", extra),
            ("of another shape", set(reshaped)),
        ):
            if odd:
                wrong.append(f"{len(odd)} tensors are {words}, such as {min(odd)}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--base", type=Path)
    options = parser.parse_args()
    if options.model is not None:
        wrong = check_model(options.model, options.base)
    else:
        settings = json.loads((options.folder / "bundle.json").read_text("utf-8"))
        wrong = check_sums(options.folder) + check_data(options.folder / settings["name"])
        wrong += check_machine(options.gpus, options.cpu)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    print("not right" if wrong else "all is right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
