"""On the GPU machine: every variant trained and asked, the first alone on its GPU, others side by side."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from proof.machine import Row, Watch, kill, machine, smi

FIRST = "plain"
"""Is trained alone, so that its time and memory mean something, and asked through vLLM too."""
KILLED = "few"
"""Is killed at its first checkpoint, and goes on."""
ROOM_S = 1.6
"""A variant beside others is reckoned to take so many times as long as the first one alone."""
_LOG_FACTS = {
    "cache_tokens": r"GPU KV cache size: ([\d,]+) tokens",
    "cache_gib": r"Available KV cache memory: ([\d.]+) GiB",
    "weights_gib": r"Model loading took ([\d.]+) GiB",
    "engine_s": r"init engine .* took ([\d.]+) s",
}


@dataclass(frozen=True)
class Limits:
    """How much may be done."""

    budget_s: float
    at_once: int
    """Variants on one GPU."""
    steps: int | None = None
    cpu: bool = False


class Stopped(Exception):
    """The time is over, or a program failed: why."""


@dataclass
class Work:
    """One call of `run`."""

    here: Path
    results: Path
    limits: Limits
    began: float = field(default_factory=time.monotonic)
    longest_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    places: SimpleQueue[str] = field(default_factory=SimpleQueue)
    """Numbers of GPUs, each as often as one more variant may use it; "" stands for none."""

    @property
    def left_s(self) -> float:
        return self.limits.budget_s - (time.monotonic() - self.began)

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    @contextmanager
    def place(self) -> Iterator[str]:
        """A GPU that has room for one more variant, once there is one."""
        gpu = self.places.get()
        try:
            yield gpu
        finally:
            self.places.put(gpu)

    def call(
        self, words: Sequence[str], log: Path, gpu: str, until: Callable[[], bool] | None = None
    ) -> None:
        """Runs a program that sees this GPU to its end, or kills it and all it started once `until` holds.

        Raises Stopped where it failed, and where the time is over.
        """
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MODEL": str(self.here / "model")}
        environment.setdefault("OMP_NUM_THREADS", "1")  # else each of the many workers takes every core
        if gpu:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with log.open("ab") as file:
            process = subprocess.Popen(
                words, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, env=environment
            )
            try:
                while (code := process.poll()) is None:
                    if self.left_s < 0:
                        raise Stopped("cut off: the time was over")
                    if until is not None and until():
                        return
                    time.sleep(0.3)
            finally:
                if process.poll() is None:
                    kill(process.pid)
                    process.wait()
        if code:
            end = log.read_text("utf-8", "replace").splitlines()[-12:]
            raise Stopped(f"{Path(words[0]).name} ended with {code}: " + " | ".join(end))


def run(here: Path, results: Path, limits: Limits, only: Sequence[str] | None) -> int:
    """results.json, written anew after each variant. 0 when all are done, else 3."""
    (results / "logs").mkdir(parents=True, exist_ok=True)
    facts = json.loads((here / "facts.json").read_text("utf-8"))
    names = [name for name in facts["variants"] if not only or name in only]
    work = Work(here, results, limits)
    try:
        draw_weights(work)
    except Stopped as error:
        work.say(f"no weights: {error}")
        return 1
    note(work, "machine", machine())
    first, *others = [""] if limits.cpu else gpus()
    for _ in range(limits.at_once):
        for gpu in others:
            work.places.put(gpu)
    beside = [name for name in names if name != FIRST]
    with ThreadPoolExecutor(limits.at_once * (1 + len(others)) + 2) as pool:
        pool.submit(measure_first, work, pool, first, wanted=FIRST in names)
        list(pool.map(lambda name: attempt(work, name), beside))
    for name in beside:  # what failed beside others may have lacked memory: once more, alone
        if work.left_s > work.longest_s:
            attempt(work, name)
    collect(work)
    undone = json.loads((results / "results.json").read_text("utf-8"))["not_run"]
    work.say(f"done; not run: {', '.join(undone) or 'none'}")
    return 3 if undone else 0


def gpus() -> list[str]:
    """Numbers of the GPUs that this call may use; one "" stands for none."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (chosen.split(",") if chosen else smi("index").split()) or [""]


def measure_first(work: Work, pool: ThreadPoolExecutor, gpu: str, *, wanted: bool) -> None:
    """The first variant, with nothing beside it on its GPU, then vLLM; then others may use that GPU."""
    free = threading.Event()
    done = work.results / f"{FIRST}.json"
    try:
        if wanted and not done.is_file():
            with Watch(work.results / "gpu.json", gpu):
                attempt_on(work, FIRST, gpu)
        if done.is_file():
            work.longest_s = json.loads(done.read_text("utf-8"))["seconds"]
        if done.is_file() and not (work.results / "vllm.json").is_file():
            pool.submit(attempt_vllm, work, gpu, free)
            free.wait()
    finally:
        for _ in range(work.limits.at_once):
            work.places.put(gpu)


def attempt(work: Work, name: str) -> None:
    """Trains and asks one variant where a GPU has room, unless that is done."""
    if not (work.results / f"{name}.json").is_file():
        with work.place() as gpu:
            attempt_on(work, name, gpu)


def attempt_on(work: Work, name: str, gpu: str) -> None:
    """Trains and asks one variant on this GPU, unless that would not fit; tells how it ended."""
    target = work.results / f"{name}.json"
    need = work.longest_s * ROOM_S
    wait_for_memory(work, name, gpu)
    if work.left_s < need:
        note(work, name, f"not begun: about {need:.0f} s are wanted, and {work.left_s:.0f} s were left")
        return
    began = time.monotonic()
    work.say(f"{name}: begun on GPU {gpu or '(none)'}")
    try:
        row = variant(work, name, gpu)
    except (Stopped, OSError, ValueError, LookupError) as error:
        note(work, name, str(error))
        return
    row["seconds"] = round(time.monotonic() - began, 1)
    with work.lock:
        target.write_text(json.dumps(row, ensure_ascii=False), "utf-8")
    note(work, name, None)
    work.say(f"{name}: {row['right']} of {len(row['answers'])} right, {row['seconds']} s")


def wait_for_memory(work: Work, name: str, gpu: str) -> None:
    """Until this GPU has the memory free that the plan of the training asks for: its check refuses less."""
    facts = json.loads((work.here / "facts.json").read_text("utf-8"))
    need = facts["variants"][name].get("needs", {}).get("gpu_bytes", 0) >> 20
    while work.left_s > 0:
        free = smi("memory.free", gpu).splitlines()[:1]
        if not (free and free[0].isdigit()) or int(free[0]) >= need:
            return
        time.sleep(3)


def variant(work: Work, name: str, gpu: str) -> Row:
    """Training, export and answers through transformers, with their times."""
    bundle, log = work.here / f"{name}-bundle", work.results / "logs" / f"{name}.log"
    flags = f"max_steps={work.limits.steps} save_steps=1 logging_steps=1" if work.limits.steps else ""
    if work.limits.cpu:
        flags += (
            " per_device_train_batch_size=2 preprocessing_num_workers=1 dataloader_num_workers=0 bf16=false"
        )
    words = [str(bundle / "run.sh"), *(["--train-flags", flags] if flags else [])]
    words += ["--cpu"] if work.limits.cpu else []
    row: Row = {}
    if name == KILLED and not (work.results / "killed.json").is_file():
        work.call([*words, "--only", "check", "--only", "train"], log, gpu, lambda: bool(checkpoints(bundle)))
        (work.results / "killed.json").write_text(json.dumps(checkpoints(bundle)), "utf-8")
        work.say(f"{name}: killed at {checkpoints(bundle)}, goes on")
    if name == KILLED:
        row["killed_at"] = json.loads((work.results / "killed.json").read_text("utf-8"))
    began = time.monotonic()
    work.call([*words, "--only", "check", "--only", "train", "--only", "export"], log, gpu)
    row["handoff_s"] = round(time.monotonic() - began, 1)
    row |= trained(bundle)
    began = time.monotonic()
    served = next(bundle.glob("*-runs/*/served"))
    out = work.results / f"predictions_{name}.jsonl"
    script = [sys.executable, str(work.here / "gpu_proof.py"), "answer", str(bundle), str(served), str(out)]
    work.call(script, log, gpu)
    row["transformers_s"] = round(time.monotonic() - began, 1)
    return row | answers(out)


def checkpoints(bundle: Path) -> list[str]:
    """Names of the checkpoints that are whole."""
    states = bundle.glob("*-runs/*/trained/checkpoint-*/trainer_state.json")
    return sorted(path.parent.name for path in states)


def trained(bundle: Path) -> Row:
    """The training's own log in figures: seconds, seconds a step, losses."""
    log = next(bundle.glob("*-runs/*/trained/trainer_log.jsonl"))
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    steps = [line for line in lines if "loss" in line and line.get("elapsed_time")]
    clock = [
        sum(int(part) * 60**at for at, part in enumerate(reversed(line["elapsed_time"].split(":"))))
        for line in steps
    ]
    # A training that goes on counts its seconds from 0 again: the last stretch is what is measured.
    first = max((at for at in range(1, len(clock)) if clock[at] < clock[at - 1]), default=0)
    taken = steps[-1]["current_steps"] - steps[first]["current_steps"]
    stages = {
        path.stem: json.loads(path.read_text("utf-8")) for path in bundle.glob("*-runs/*/stages/*.json")
    }
    return {
        "train_s": clock[-1],
        "steps": steps[-1]["current_steps"],
        "steps_logged": [line["current_steps"] for line in steps],
        "step_s": (clock[-1] - clock[first]) / taken if taken > 0 else None,
        "losses": [line["loss"] for line in steps],
        "stages_s": {stage: record.get("seconds") for stage, record in stages.items()},
    }


def answers(path: Path) -> Row:
    """Of each held-out record what was answered, and how many are right."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    said = {line["id"]: line.get("predicted") for line in lines if "id" in line}
    right = sum(line.get("predicted") == line["label"] for line in lines if "id" in line)
    return {"answers": said, "right": right, "truth": {line["id"]: line["label"] for line in lines}}


def attempt_vllm(work: Work, gpu: str, free: threading.Event) -> None:
    """The first variant's answers through vLLM; `free` is set once others may use the GPU."""
    try:
        began = time.monotonic()
        work.say("vllm: begun")
        row = through_vllm(work, gpu, free)
        row["seconds"] = round(time.monotonic() - began, 1)
        (work.results / "vllm.json").write_text(json.dumps(row, ensure_ascii=False), "utf-8")
        note(work, "vllm", None)
        work.say(f"vllm: {row['right']} of {len(row['answers'])} right, {row['seconds']} s")
    except (Stopped, OSError, ValueError, LookupError) as error:
        note(work, "vllm", str(error))
    finally:
        free.set()


def through_vllm(work: Work, gpu: str, free: threading.Event) -> Row:
    """The bundle's own stage `predict`: it starts the server, asks, and ends it."""
    bundle, log = work.here / f"{FIRST}-bundle", work.results / "logs" / "vllm.log"
    words = [str(bundle / "run.sh"), "--only", "predict", "--only", "evaluate", "--wait", "420"]
    words += ["--cpu"] if work.limits.cpu else []
    seen: Row = {}

    def watch() -> bool:
        text = server_log(bundle)
        began = seen.setdefault("began", time.monotonic()) if text else time.monotonic()
        if "GPU KV cache size" in text:  # it has measured the memory that is free: others may take some
            free.set()
        if "Application startup complete" in text:
            seen.setdefault("start_s", round(time.monotonic() - began, 1))
        return False

    work.call(words, log, gpu, until=watch)
    text = server_log(bundle)
    found = {name: re.search(pattern, text) for name, pattern in _LOG_FACTS.items()}
    row: Row = {name: float(match[1].replace(",", "")) for name, match in found.items() if match}
    row["start_s"] = seen.get("start_s")
    path = next(bundle.glob("*-runs/*/predictions*.jsonl"))
    (work.results / "predictions_vllm.jsonl").write_bytes(path.read_bytes())
    return row | answers(path)


def server_log(bundle: Path) -> str:
    """What the server has written, "" before it was started."""
    logs = sorted(bundle.glob("*-runs/*/logs/serve-*.log"), key=lambda path: path.stat().st_mtime)
    return logs[-1].read_text("utf-8", "replace") if logs else ""


def draw_weights(work: Work) -> None:
    """Random weights of the architecture that the archive describes."""
    folder = work.here / "model"
    if (folder / "model.safetensors").is_file():
        return
    script = (
        "import sys, torch, transformers as t\n"
        "config = t.AutoConfig.from_pretrained(sys.argv[1])\n"
        "torch.manual_seed(0)\n"
        "net = t.Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16)\n"
        "net.save_pretrained(sys.argv[1] + '.new')\n"
    )
    log = work.results / "logs" / "model.log"
    work.call([sys.executable, "-c", script, str(folder)], log, "")
    (folder.with_name("model.new") / "model.safetensors").rename(folder / "model.safetensors")


def note(work: Work, name: str, text: Any) -> None:
    """Keeps what is to be told of a part beside its figures, and writes results.json."""
    with work.lock:
        path = work.results / "notes.json"
        notes = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        notes[name] = text
        path.write_text(json.dumps(notes, ensure_ascii=False), "utf-8")
        collect(work)
    if isinstance(text, str):
        work.say(f"{name}: {text}")


def collect(work: Work) -> None:
    """results.json of all that is there: answers as numbers of labels, -1 for none of them."""
    facts = json.loads((work.here / "facts.json").read_text("utf-8"))
    notes = json.loads((work.results / "notes.json").read_text("utf-8"))
    rows = {
        name: json.loads((work.results / f"{name}.json").read_text("utf-8"))
        for name in (*facts["variants"], "vllm")
        if (work.results / f"{name}.json").is_file()
    }
    truth: dict[str, str] = next((row["truth"] for row in rows.values()), {})
    labels = sorted(set(truth.values()))
    at = {label: number for number, label in enumerate(labels)}
    for row in rows.values():
        said = row.pop("answers")
        row.pop("truth")
        row["answers"] = [at.get(said.get(id_), -1) for id_ in truth]
    gpu = work.results / "gpu.json"
    document = {
        "format": 1,
        "machine": notes.get("machine"),
        "facts": facts,
        "labels": labels,
        "truth": [at[label] for label in truth.values()],
        "memory": json.loads(gpu.read_text("utf-8")) if gpu.is_file() else None,
        "vllm": rows.pop("vllm", None),
        "variants": rows,
        "not_run": {
            name: notes.get(name) or "not begun" for name in (*facts["variants"], "vllm")
            if not (work.results / f"{name}.json").is_file()
        },
    }  # fmt: skip
    draft = work.results / "results.json.part"
    draft.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    draft.replace(work.results / "results.json")
