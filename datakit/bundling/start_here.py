"""START_HERE.md of a bundle: what it needs, how long it takes, the one command, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from datakit.ablation.telling import power_of
from datakit.artifacts import names
from datakit.artifacts.ablation_record import Job
from datakit.artifacts.needs import PACKAGES, SERVER_VERSIONS, TRAINER_VERSION, Needs
from datakit.artifacts.packed_ablation import PackedAblation
from datakit.core.clock import rough_duration
from datakit.core.counted import counted
from datakit.core.scripts import shell_words
from datakit.training.forecast import starting_s

GIB = 1 << 30
_PICTURE_S = 0.17
"""LLaMA-Factory's preprocessing of a picture of 1280x960 on one core (measured 2026-11)."""
_SERVER_START_S = 120
"""Measured on H100s in 2026-11: 90 to 134 s, 182 the first time, of which 25 to 48 are compilation."""
_SHARE = 0.35
"""Of a GPU's peak that training reaches: an assumption, which the page states."""
_PEAK = {"H100": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12}
"""Dense bfloat16 operations a second, by NVIDIA's data sheets."""
_NOTES = {
    "START_HERE.md": "this page",
    "run.sh": "the one command",
    "handoff.py": "what run.sh starts, with a Python that has what it needs",
    "predict.py": "asks a server that runs already, by itself",
    "evaluate.py": "scores a file of answers, by itself",
    names.SERVE_SCRIPT: "starts vLLM for the exported model, by itself",
    "bundle.json": "name, content hash and version of what is packed",
    "SHA256SUMS": "checksums of all other files",
}


def start_here(name: str, folder: str, needs: Needs, files: Iterable[str]) -> str:
    """The page of the build `name`, in the bundle's folder `folder`, which holds `files`."""
    gpus = needs.gpus * needs.nodes
    planned = needs.serve_bytes > 0
    beside = needs.served_bytes // max(1, needs.serve_gpus) + 4 * GIB if needs.served_bytes else 0
    work = needs.tokens * needs.token_flops
    return _template().render(
        name=name,
        folder=shell_words([folder]),
        needs=needs,
        gpus=f"{needs.gpus} on each of {needs.nodes} nodes" if needs.nodes > 1 else f"{needs.gpus}",
        all_gpus=f"{gpus} GPUs" if gpus > 1 else "one GPU",
        mode=f"`{needs.method}`, " + (f"DeepSpeed `{needs.mode}`" if needs.deepspeed else "no DeepSpeed"),
        serve_bytes=needs.serve_bytes if planned else beside,
        serve_source="serving plan of the build" if planned else "the weights, and 4 GiB beside them",
        base=needs.base,
        trainer=TRAINER_VERSION,
        servers=SERVER_VERSIONS,
        packages=PACKAGES,
        picture_s=f"{_PICTURE_S:g}",
        start_s=starting_s(needs.mode if needs.deepspeed else "none")
        + needs.pictures * _PICTURE_S / max(1, needs.workers),
        server_s=_SERVER_START_S,
        share=f"{_SHARE:.0%}",
        speeds=[
            f"{card} {rough_duration(work / (peak * _SHARE * gpus))}" for card, peak in _PEAK.items() if work
        ],
        tokens=token_count(needs.tokens),
        question_tokens=token_count(needs.question_tokens),
        files=list(_listed(name, sorted(files))),
    )


def start_ablation(about: PackedAblation, folder: str, jobs: Sequence[Job], needs: Sequence[Needs]) -> str:
    """The page of an ablation's archive, in its folder `folder`."""
    first = needs[0]
    rows = [
        {
            "name": job.path.name,
            "change": job.change.words,
            "steps": own.steps,
            "time": rough_duration(own.tokens * own.token_flops / (_PEAK["H100"] * _SHARE * own.gpus))
            if own.tokens * own.token_flops
            else "not reckoned",
        }
        for job, own in zip(jobs, needs, strict=True)
    ]
    return _template("start_ablation.md.j2").render(
        recipe=about.recipe,
        folder=shell_words([folder]),
        base=first.base,
        base_is_folder=first.base_is_folder,
        trainings=len(jobs),
        rows=rows,
        power=power_of(about.held_out, len(about.changes), None).words(),
        gpus="one GPU" if first.gpus == 1 else f"{first.gpus} GPUs",
        first=jobs[0].path.name,
        disk=sum(own.run_bytes for own in needs),
        command=about.command,
    )


def _template(name: str = "start_here.md.j2") -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "gib": _gib,
        "gb": gigabytes,
        "duration": rough_duration,
        "code": _code,
        "counted": counted,
    }
    return environment.get_template(name)


def _listed(name: str, files: list[str]) -> Iterator[str]:
    """Every file by its name; the packed code and the pictures by their folder and number."""
    code = [path for path in files if path.startswith("datakit/")]
    pictures = [path for path in files if path.startswith(f"{name}/images/")]
    data = [path for path in files if path.startswith(f"{name}/") and path not in set(pictures)]
    yield from (f"`{path}`: {note}" for path, note in _NOTES.items() if path in set(files))
    yield from (f"`{path}`" for path in files if "/" not in path and path not in _NOTES)
    yield f"`{name}/`, the data set: " + ", ".join(f"`{path.removeprefix(f'{name}/')}`" for path in data)
    yield f"`{name}/images/`: {counted(len(pictures), 'picture')}, none larger than the training takes"
    yield f"`datakit/`: {counted(len(code), 'file')} of datakit's own code"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size else "not reckoned"


def gigabytes(size: float) -> str:
    """Rounded up: a disk that is just too small is too small."""
    if not size:
        return "not reckoned"
    return f"{math.ceil(size / 1e8) / 10:,.1f} GB" if size >= 1e8 else f"{math.ceil(size / 1e6)} MB"


def token_count(tokens: int) -> str:
    """Millions, or whole numbers where there are fewer than a million."""
    return f"{tokens / 1e6:,.1f} million" if tokens >= 1e6 else f"{tokens:,}"


def _code(text: str) -> str:
    """A text of somebody else's in a table: it can neither end its cell nor its line."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in text)
    return "`" + plain.replace("`", "'").replace("|", "\\|") + "`"
