"""Times trainings of random Qwen-VL models of true size, beside what `datakit plan --train` says of them.

    python scripts/bench_train.py build/ecom_v3 --out bench --case Qwen/Qwen2.5-VL-3B-Instruct:lora:none:1
    python scripts/bench_train.py build/ecom_v3 --out bench --case tiny:full:z2:8 --case tiny:full:z3:8

A case is MODEL:METHOD:MODE:ROWS: a model of datakit's table, or `tiny`; lora or full; a mode of the memory
table; rows at a time on each GPU; `:kept` behind it keeps all activations, without gradient checkpointing.
Each makes its model where there is none (random weights, the true shape), trains STEPS steps on the build's
rows through llamafactory-cli, and adds one line to OUT/trainings.jsonl: seconds of a step (median behind the
first two), until the rows are ready and until the first step, the peaks of memory that PyTorch held and that
the driver shows, and the forecast. Needs the trainer's environment on PATH, and GPUs; CUDA_VISIBLE_DEVICES
chooses them, so that several calls with folders of their own and one folder of models may run side by side.
Cases that ended well are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_tiny_model import Size, write_model, write_processor, write_tokenizer

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.qwen_models import known_models, qwen_model
from datakit.training import memory
from datakit.training.deepspeed import settings_of
from datakit.training.forecast import forecast, work_of
from datakit.training.gpus import gpu_of_driver
from datakit.training.longest import longest_row
from datakit.training.machine import driver_says
from datakit.training.trainer import allocator, threads, updates_on_host

KEPT = ":kept"
STEPS, FIRST = 10, 2
"""Steps that are trained, and those at the start that are not timed."""
WORKERS = min(14, os.cpu_count() or 1)
"""That prepare rows."""
PEAKS = """\
import atexit, json, os, sys
def tell():
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        with open(os.path.join(os.environ["DATAKIT_PEAKS"], str(os.getpid())), "w") as file:
            json.dump(peaks, file)
atexit.register(tell)
"""
"""Is imported by every process of a training as it starts, and leaves what its PyTorch held at most."""
TINY = Size(hidden=256, layers=4, vision_hidden=256, vision_depth=4)


def make_model(name: str, models: Path) -> Path:
    """The folder of a random model of this name; a process of its own makes it, and frees the GPU again."""
    folder = models / name.replace("/", "-")
    if not (folder / ".complete").exists():
        maker = f"import sys; sys.path[:0] = {sys.path!r}\nimport bench_train\n"
        command = f"{maker}bench_train.write_random(sys.argv[1], bench_train.Path(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", command, name, str(folder)], check=True)
    return folder


def write_random(name: str, folder: Path) -> None:
    """Random weights of this name's shape, with tokenizer and processor."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name == "tiny":
        write_tokenizer(folder, "qwen2_5_vl")
        write_processor(folder, "qwen2_5_vl")
        write_model(folder, "qwen2_5_vl", TINY, "bfloat16", 0)
    else:
        _true_shape(name, folder)
    (folder / ".complete").touch()


def _true_shape(name: str, folder: Path) -> None:
    import torch
    import transformers

    known = known_models()[name]
    family = known["model_type"]
    write_tokenizer(folder, family)
    write_processor(folder, family)
    text = dict(known.get("text_config") or {key: own for key, own in known.items() if "config" not in key})
    head = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    half = head // 2
    sections = [half * 16 // 64, half * 24 // 64, half * 24 // 64]
    text |= {"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": sections}}
    if family == "qwen3_vl":
        sections = [half * 24 // 64, half * 20 // 64, half * 20 // 64]
        text["rope_scaling"] = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": sections}
    # The tokens of pictures, which every model of the family has.
    tokens = {"image_token_id": 151_655, "video_token_id": 151_656, "vision_start_token_id": 151_652}
    classes = {
        "qwen2_vl": "Qwen2VLForConditionalGeneration",
        "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
        "qwen3_vl": "Qwen3VLForConditionalGeneration",
    }
    model_class = getattr(transformers, classes[family])
    tied = bool(known.get("tie_word_embeddings", False))
    text["tie_word_embeddings"] = tied
    config = model_class.config_class(
        text_config=text, vision_config=known["vision_config"], tie_word_embeddings=tied, **tokens
    )
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = model_class(config)
    torch.set_default_dtype(default)
    model.save_pretrained(folder)


def train(case: str, build: BuildFolder, out: Path, models: Path, gpus: int) -> dict[str, Any]:
    """Trains one case; what was measured, beside the forecast."""
    name, method, mode, rows = case.removesuffix(KEPT).rsplit(":", 3)
    model = make_model(name, models)
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    keys = dict(build.training)
    for key in (
        "eval_dataset",
        "eval_strategy",
        "eval_steps",
        "deepspeed",
        "load_best_model_at_end",
        "run_name",
    ):
        keys.pop(key, None)
    keys |= {
        "model_name_or_path": str(model),
        "dataset_dir": str(build.path),
        "media_dir": str(build.path),
        "finetuning_type": method,
        "disable_gradient_checkpointing": case.endswith(KEPT),
        "per_device_train_batch_size": int(rows),
        "gradient_accumulation_steps": 1,
        "max_steps": STEPS,
        "logging_steps": 1,
        "save_strategy": "no",
        "output_dir": str(work / "trained"),
        "preprocessing_num_workers": WORKERS,
        "overwrite_output_dir": True,
        "report_to": "none",
    }
    if not driver_says("name"):  # a trial of this script without a GPU
        keys |= {"use_cpu": True, "bf16": False, "fp16": False}
    if method == "full":
        for key in [key for key in keys if key.startswith("lora_")]:
            keys.pop(key)
    deepspeed = settings_of(mode, work) if mode != "none" else None
    if deepspeed is not None:
        (work / "deepspeed.json").write_text(json.dumps(deepspeed), "ascii")
        keys["deepspeed"] = str(work / "deepspeed.json")
    (work / "train.yaml").write_text(json.dumps(keys), "ascii")
    cores = threads(WORKERS, gpus, updates_on_host=updates_on_host(keys, deepspeed))
    measured = _watch(work, gpus, cores, forced=mode != "none")
    return {"case": case, "gpus": gpus, **measured, **_forecast(model, keys, mode, build, gpus)}


def _watch(work: Path, gpus: int, cores: dict[str, str], *, forced: bool) -> dict[str, Any]:
    """Seconds of a step, of the start, and the GPU's peak; `failed` with the log's end where it failed."""
    environment = os.environ | {"FORCE_TORCHRUN": "1"} if forced or gpus > 1 else dict(os.environ)
    environment |= {"NPROC_PER_NODE": str(gpus), "DISABLE_VERSION_CHECK": "1"}
    environment |= cores | allocator()
    (work / "hook").mkdir()
    (work / "peaks").mkdir()
    (work / "hook" / "sitecustomize.py").write_text(PEAKS, "ascii")
    paths = [str(work / "hook"), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "DATAKIT_PEAKS": str(work / "peaks")}
    log, trainer_log = work / "log", work / "trained" / "trainer_log.jsonl"
    seen: list[float] = []
    peak, begun = 0.0, time.monotonic()
    prepared = None
    with log.open("wb") as file:
        command = ["llamafactory-cli", "train", str(work / "train.yaml")]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        while process.poll() is None:
            time.sleep(0.02)
            now = time.monotonic() - begun
            if trainer_log.exists():
                count = trainer_log.read_bytes().count(b'"loss"')
                seen += [now] * (count - len(seen))
            if prepared is None and b"training example:" in log.read_bytes():
                prepared = now
            if int(now * 50) % 25 == 0:
                peak = max(peak, _used_gib())
    if process.returncode:
        return {"failed": log.read_text("utf-8", "replace")[-1500:]}
    steps = [after - before for before, after in zip(seen[FIRST:], seen[FIRST + 1 :], strict=False)]
    held = [json.loads(path.read_text("ascii")) for path in (work / "peaks").iterdir()]
    return {
        "step_s": round(statistics.median(steps), 4) if steps else None,
        "prepared_after_s": prepared and round(prepared, 1),
        "first_step_after_s": round(seen[0], 1) if seen else None,
        "allocated_gib": round(max((own[0] for own in held), default=0) / memory.GIB, 2),
        "reserved_gib": round(max((own[1] for own in held), default=0) / memory.GIB, 2),
        "peak_gib": round(peak, 2),
    }


def _used_gib() -> float:
    """What the driver shows on the fullest of the GPUs."""
    used = (int(line) / 1024 for line in driver_says("memory.used") if line.isdigit())
    return max(used, default=0.0)


def _forecast(model: Path, keys: dict[str, Any], mode: str, build: BuildFolder, gpus: int) -> dict[str, Any]:
    size = qwen_model(model)
    name = next(iter(driver_says("name")), "")
    gpu, work = gpu_of_driver(name), work_of(build, keys, gpus)
    if gpu is None or work is None:
        return {"gpu": name}
    trained = memory.trained_by(keys, size)
    longest = longest_row(
        build, {**build.training, **keys, "dataset": build.training["dataset"]}, 2 * size.patch
    )
    batch = memory.batch_of(keys, *longest)
    needs = {need.mode: need for need in memory.inputs(size, trained, batch, gpus=gpus, nodes=1)}
    told = forecast(size, keys, mode, work, gpu, gpus, None)
    return {
        "gpu": gpu.name,
        "forecast_step_s": round(told.step_s, 4),
        "slowest": told.slowest,
        "planned_gib": round(needs[mode].gpu / memory.GIB, 2),
        "longest_tokens": longest[0],
        "longest_image_tokens": longest[1],
        "tokens_a_row": round((work.text_tokens + work.image_tokens) / work.rows),
        "image_tokens_a_row": round(work.image_tokens / work.rows),
    }


def main() -> None:
    """Runs the cases that have no line yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", type=Path, help="a build with a train.yaml, checked")
    parser.add_argument("--out", type=Path, required=True, help="folder for models, logs and trainings.jsonl")
    parser.add_argument("--models", type=Path, help="folder for models alone (OUT/models)")
    parser.add_argument("--case", action="append", required=True, help="MODEL:METHOD:MODE:ROWS[:kept]")
    parser.add_argument("--gpus", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = options.out / "trainings.jsonl"
    known = map(json.loads, lines.read_text("ascii").splitlines()) if lines.exists() else ()
    done = {(own["case"], own["gpus"]) for own in known if "failed" not in own}
    build = BuildFolder(options.build.resolve())
    for case in options.case:
        if (case, options.gpus) in done:
            continue
        models = (options.models or options.out / "models").resolve()
        result = train(case, build, options.out.resolve(), models, options.gpus)
        with lines.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
