"""START_HERE.md of a bundle: what it needs, how long it takes, the one command, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from datakit.artifacts.needs import PACKAGES, SERVER_VERSIONS, TRAINER_VERSION, Needs
from datakit.core.scripts import shell_words

GIB = 1 << 30
_PICTURE_S = 0.17
"""LLaMA-Factory's preprocessing of a picture of 1280x960 on one core (measured 2026-11)."""
_TRAINER_START_S, _SERVER_START_S = 40, 120
"""Measured on an H100 in 2026-11: 40 s, and 90 to 120 s of which up to 30 are compilation."""
_SHARE = 0.35
"""Of a GPU's peak that training reaches: an assumption, which the page states."""
_PEAK = {"H100": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12}
"""Dense bfloat16 operations a second, by NVIDIA's data sheets."""
_NOTES = {
    "run.sh": "the one command: `./run.sh --help` lists its stages and settings",
    "handoff.py": "what run.sh starts, with the first Python that has what it needs",
    "predict.py": "asks a server that runs already, alone",
    "evaluate.py": "scores a file of answers, alone",
    "serve.sh": "starts vLLM with the pixels and lengths of the training",
    "bundle.json": "name, content hash and datakit's version of the build",
    "SHA256SUMS": "checksums of all files; `sha256sum -c SHA256SUMS` reads them",
    "START_HERE.md": "this page",
}


def start_here(name: str, top: str, needs: Needs, files: Iterable[str]) -> str:
    """The page of the build `name` in the bundle's folder `top`; `files` are those of the bundle."""
    lines = [
        f"# {name}: from here to scores",
        "",
        f"This folder holds everything of the build `{name}` but the base model: its data, its pictures, its settings",
        "and the code that asks and scores. You train the model here, it is asked about the held-out records, and you",
        "send one file back. You need no datakit, and nothing is written outside of this folder and the caches of",
        "LLaMA-Factory and vLLM.",
        "",
        "## The one command",
        "",
        "```bash",
        *_commands(top, needs),
        "```",
        "",
        "`doctor` starts nothing and changes nothing: it tries the trainer, the server, the GPUs, the port, the disk",
        "and the base model, and tells every fault with its remedy at once. `./run.sh` then checks, trains, exports,",
        "serves, asks and scores. Stop it when you like (Ctrl-C, a closed terminal, a restart): the same command goes",
        "on, the training from its last checkpoint. `./run.sh --status` says where it stands, from any terminal.",
        "",
        "## What this machine needs",
        "",
        *_needed(needs),
        "",
        *_environments(needs),
        "## How long it takes",
        "",
        *_times(needs),
        "",
        "## What comes back",
        "",
        "`results.tar` in this folder: answers, scores, the state of every stage and the ends of their logs; no",
        "weights and no pictures. `./run.sh` prints its place at the end, with this command for the project that the",
        "build comes from:",
        "",
        "```bash",
        "datakit evaluate results.tar",
        "```",
        "",
        f"The trained model stays here, in `{name}-runs/`: `trained/` is what the trainer wrote, `served/` is what",
        "`serve.sh` serves.",
        "",
        "## The files",
        "",
        *_listed(name, files),
    ]
    return "\n".join(lines) + "\n"


def _commands(top: str, needs: Needs) -> Iterator[str]:
    yield f"cd {shell_words([top])}"
    model = ""
    if needs.base_is_folder:
        yield "export MODEL=/folder/of/the/base/model   # see below: it is not in the bundle"
    yield f"{model}./run.sh doctor"
    yield f"{model}./run.sh"


def _needed(needs: Needs) -> Iterator[str]:
    yield "| what | how much | whence the figure |"
    yield "|---|---|---|"
    count = f"{needs.gpus}" + (f" on each of {needs.nodes} nodes" if needs.nodes > 1 else "")
    yield (
        f"| GPUs for training | {count}, {_gib(needs.gpu_bytes)} each | memory plan: {_mode(needs)}; "
        "activations are an estimate |"
    )
    yield f"| memory of the machine | {_gib(needs.host_bytes)} | memory plan, of each node |"
    serve = needs.serve_bytes or (needs.served_bytes and needs.served_bytes // needs.serve_gpus + 4 * GIB)
    source = "serving plan of the build" if needs.serve_bytes else "weights and 4 GiB beside them"
    yield f"| GPUs for serving | {needs.serve_gpus}, {_gib(serve)} each | {source} |"
    yield f"| disk of this folder | {_gb(needs.run_bytes)} | {_disk(needs)} |"
    kind = "a folder, which you copy" if needs.base_is_folder else "a download, into the hub's cache"
    yield f"| disk of the base model | {_gb(needs.base_bytes)} | {kind} |"
    yield (
        f"| base model | {_code(needs.base)} | "
        + (
            "it lay there where the build was made: copy it here and name its folder with MODEL |"
            if needs.base_is_folder
            else "LLaMA-Factory downloads it; without a network: download it elsewhere, and name its folder with MODEL |"
        )
    )


def _environments(needs: Needs) -> Iterator[str]:
    deepspeed = " and DeepSpeed" if needs.deepspeed else ""
    packages = ["llamafactory==" + TRAINER_VERSION, *(["deepspeed"] if needs.deepspeed else [])]
    yield f"Programs: **LLaMA-Factory {TRAINER_VERSION}**{deepspeed} trains (with transformers up to 5.6.0, as it asks for"
    yield f"itself), and **vLLM** serves ({' and '.join(SERVER_VERSIONS)} are proven). They rarely share an environment:"
    yield ""
    yield "```bash"
    yield f"python3 -m venv trainer && trainer/bin/pip install {shell_words(packages)}"
    yield f"python3 -m venv server && server/bin/pip install vllm=={SERVER_VERSIONS[0]}"
    yield "export TRAINER=$PWD/trainer/bin/llamafactory-cli VLLM=$PWD/server/bin/vllm"
    yield "```"
    yield ""
    yield f"The bundle's own code takes a Python of 3.10 or later with {', '.join(PACKAGES)}: both environments have"
    yield "them, and run.sh finds theirs by itself (or name one with PYTHON)."
    yield ""


def _times(needs: Needs) -> Iterator[str]:
    minutes = needs.pictures * _PICTURE_S / max(1, needs.workers)
    yield (
        f"- Start of the training: {_duration(_TRAINER_START_S + minutes)} at most, to preprocess "
        f"{needs.pictures:,} pictures with {needs.workers} workers ({_PICTURE_S:g} s a picture and core)."
    )
    gpus = needs.gpus * needs.nodes
    yield f"- Training: {needs.steps:,} steps over {needs.rows:,} rows on {gpus} GPU{'s' if gpus > 1 else ''}."
    if needs.tokens and needs.token_flops:
        work = needs.tokens * needs.token_flops
        figures = (
            f"{_duration(work / (peak * _SHARE * gpus))} on {card}" for card, peak in _PEAK.items()
        )
        yield (
            f"  That is {needs.tokens / 1e6:,.1f} million tokens, by an estimate {', '.join(figures)} (each GPU at "
            f"{_SHARE:.0%} of its peak{'; several times that with offloading' if 'offload' in needs.mode else ''})."
        )
    else:
        yield "  How long a step takes is not reckoned: the architecture of the base model was not at hand."
    yield "  The first lines of the training tell what is left, by its own steps."
    yield "- Export: minutes, by the disk: it reads and writes the whole model."
    yield (
        f"- Serving and asking: {_duration(_SERVER_START_S)} to start the server; then {needs.questions:,} questions, "
        f"{needs.question_tokens / 1e6:,.1f} million tokens at most."
    )


def _listed(name: str, files: Iterable[str]) -> Iterator[str]:
    """Every file by name; the packed code and the pictures by their folder and number."""
    top: list[str] = []
    data: list[str] = []
    folders = {"datakit/": 0, f"{name}/images/": 0}
    for path in sorted(files):
        folder = next((folder for folder in folders if path.startswith(folder)), None)
        if folder is not None:
            folders[folder] += 1
        elif path.startswith(f"{name}/"):
            data.append(path.removeprefix(f"{name}/"))
        else:
            top.append(path)
    yield from (f"- `{path}`: {_NOTES[path]}" if path in _NOTES else f"- `{path}`" for path in top)
    yield f"- `{name}/`, the data set: {', '.join(f'`{path}`' for path in data)}"
    yield f"- `{name}/images/`: {folders[f'{name}/images/']:,} pictures, at the size of the training"
    yield f"- `datakit/`: {folders['datakit/']:,} files of datakit's own code"


def _mode(needs: Needs) -> str:
    shared = f"DeepSpeed `{needs.mode}`" if needs.deepspeed else "no DeepSpeed"
    return f"`{needs.method}`, {shared}"


def _disk(needs: Needs) -> str:
    if not needs.run_bytes:
        return "not reckoned"
    return (
        f"{needs.checkpoints} checkpoints of {_gb(needs.checkpoint_bytes)} (weights and optimizer states), "
        f"the trained ({_gb(needs.trained_bytes)}) and the served model ({_gb(needs.served_bytes)})"
    )


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size else "not reckoned"


def _gb(size: float) -> str:
    """Rounded up: a disk that is just too small is too small."""
    if not size:
        return "not reckoned"
    return f"{math.ceil(size / 1e8) / 10:,.1f} GB" if size >= 1e8 else f"{math.ceil(size / 1e6)} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _code(text: str) -> str:
    """A text as it stands in a table's cell: a name of somebody else's can neither end the cell nor the line."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in text).replace("`", "'")
    return "`" + plain.replace("|", "\\|") + "`"
