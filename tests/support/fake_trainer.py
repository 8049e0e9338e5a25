"""A stand-in for llamafactory-cli that writes what the real one writes, in a tenth of a second.

    install(folder)      makes folder/llamafactory-cli; its calls are listed in folder/calls.jsonl

`FAKE_TRAINER` in the environment chooses what happens: "" trains to the end; "die:3" ends after step 3
without a word, as a killed process; "oom" fails as a GPU without memory does; "sleep" never ends;
"no_template" exports a model without its chat template; "renamed" exports a tensor under another name;
"no_result" ends with 0 and leaves nothing; "hold" stops after its first step until `release(folder)`, and
"hold:die" fails then; "worker" has a worker in a session of its own hold in its place, as torchrun has;
"stray" trains to the end and leaves a process behind; "slow_export" exports until it is ended;
"full_disk" has no room for the second checkpoint; "lost" goes on from a checkpoint without its weights and
says so, "lost:hold" never ends then; "last" cannot load the best checkpoint, its second, at its end.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TENSORS = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "visual.merger.mlp.0.weight")
STEPS = 4
LEFT_OUT = "[WARNING|trainer.py:3744] There were missing keys in the checkpoint model loaded: {}."


def install(folder: Path) -> Path:
    """The program."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "llamafactory-cli"
    code = f"import os, runpy\nos.environ['FAKE_TRAINER_FOLDER'] = {str(folder)!r}\n"
    code += f"runpy.run_path({__file__!r}, run_name='__main__')\n"
    program.write_text(f"#!{sys.executable}\n{code}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def calls(folder: Path) -> list[dict[str, Any]]:
    """What the program was called with: words, and the variables that start a run on several GPUs."""
    path = folder / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def release(folder: Path) -> None:
    """Lets a training that holds go on."""
    (folder / "go").touch()


def write_model(
    folder: Path, names: tuple[str, ...] = TENSORS, *, cut: int = 0, weights: bytes | None = None
) -> None:
    """A model's folder with a real safetensors header; `cut` bytes are missing at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {
        name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * at, 16 * at + 16]}
        for at, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    data = struct.pack("<Q", len(text)) + text + (weights or bytes(16 * len(names)))
    (folder / "model.safetensors").write_bytes(data[: len(data) - cut])


def write_base(folder: Path) -> Path:
    """A base model: weights, and a config.json of the 3B with one layer each, so that any disk has room."""
    from datakit.core.qwen_models import known_models

    write_model(folder)
    known = known_models()["Qwen/Qwen2.5-VL-3B-Instruct"]
    small = {"num_hidden_layers": 1, "vision_config": {**known["vision_config"], "depth": 1}}
    (folder / "config.json").write_text(json.dumps({**known, **small, "architectures": ["Qwen2_5_VL"]}))
    for name in ("preprocessor_config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).write_text("{}")
    return folder


def write_checkpoint(folder: Path, *, whole: bool = True) -> None:
    """A checkpoint; a half-written one lacks the file that comes last."""
    write_model(folder)
    (folder / "optimizer.pt").write_bytes(b"state")
    if whole:
        (folder / "trainer_state.json").write_text("{}")


def _settings(words: list[str]) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(Path(words[1]).read_text())
    for word in words[2:]:
        key, _, value = word.partition("=")
        found[key] = yaml.safe_load(value)
    return found


def _train(settings: dict[str, Any], how: str) -> int:
    trained = Path(settings["output_dir"])
    trained.mkdir(parents=True, exist_ok=True)
    done = [int(path.name.split("-")[1]) for path in trained.glob("checkpoint-*")]
    if how == "oom":
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", file=sys.stderr)
        return 1
    if how == "no_result":
        return 0
    if how.startswith("lost") and done:
        print(f"[INFO|trainer.py:3343] Loading model from {trained}/checkpoint-{max(done)}.", flush=True)
        print(LEFT_OUT.format(["model.visual.patch_embed.proj.weight", "lm_head.weight"]), flush=True)
    if how.startswith(("lost", "last")):
        print("[INFO|trainer.py:1469] ***** Running training *****", flush=True)
    for step in range(max(done, default=0) + 1, STEPS + 1):
        with open(trained / "trainer_log.jsonl", "a") as log:
            entry = {
                "current_steps": step,
                "total_steps": STEPS,
                "loss": 1 / step,
                "remaining_time": "0:00:01",
            }
            log.write(json.dumps(entry) + "\n")
        if how == "full_disk" and step == 2:
            write_checkpoint(trained / f"checkpoint-{step}", whole=False)
            Path("/dev/full").write_bytes(b"weights")
        write_checkpoint(trained / f"checkpoint-{step}")
        if how == f"die:{step}":
            os._exit(137)
        while (
            how == "sleep"
            or (how == "lost:hold" and done)
            or (how.startswith("hold") and not (_folder() / "go").exists())
        ):
            time.sleep(0.05)
        if how == "hold:die":
            print("ValueError: toy failure")
            return 1
    write_model(trained)
    if how == "last":
        best = trained / "checkpoint-2"
        write_model(best, weights=bytes(range(16)) * len(TENSORS))
        (trained / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": str(best)}))
        print(LEFT_OUT.format(list(TENSORS)), flush=True)
    (trained / "train_results.json").write_text("{}")
    return 0


def _folder() -> Path:
    return Path(os.environ["FAKE_TRAINER_FOLDER"])


def _start(how: str, *, waits: bool) -> int:
    """A further process of the training, in a session of its own and without the descriptors of this one."""
    words = [sys.executable, __file__, *sys.argv[1:]]
    output = None if waits else subprocess.DEVNULL
    process = subprocess.Popen(
        words, env={**os.environ, "FAKE_TRAINER": how}, start_new_session=True, stdout=output
    )
    return process.wait() if waits else 0


def _export(settings: dict[str, Any], how: str) -> int:
    target = Path(settings["export_dir"])
    names = (*TENSORS[:-1], "visual.merger.mlp.zero.weight") if how == "renamed" else TENSORS
    trained = Path(str(settings.get("adapter_name_or_path", settings["model_name_or_path"])))
    weights = (trained / "model.safetensors").read_bytes()[-16 * len(TENSORS) :]
    write_model(target, names, weights=weights)  # merged weights are those of the training
    base = Path(settings["model_name_or_path"])
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "chat_template.jinja"):
        if (base / name).exists() and not (how == "no_template" and name.startswith("chat")):
            (target / name).write_bytes((base / name).read_bytes())
    return 0


def main() -> int:
    words, how = sys.argv[1:], os.environ.get("FAKE_TRAINER", "")
    names = ("FORCE_TORCHRUN", "NPROC_PER_NODE", "NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    call = {
        "words": words,
        "cwd": os.getcwd(),
        "env": {name: os.environ[name] for name in names if name in os.environ},
    }
    if how == "daemon":
        time.sleep(300)
    with open(_folder() / "calls.jsonl", "a") as log:
        log.write(json.dumps(call) + "\n")
    print(f"fake trainer: {' '.join(words)}", flush=True)
    if words == ["version"]:
        print("| Welcome to LLaMA Factory, version 0.9.5                |")
        return 0
    if how.startswith("worker"):
        return _start(how.replace("worker", "hold"), waits=True)
    if how == "stray":
        _start("daemon", waits=False)
    while how == "slow_export" and words[0] == "export":
        time.sleep(0.05)
    settings = _settings(words)
    return _train(settings, how) if words[0] == "train" else _export(settings, how)


if __name__ == "__main__":
    sys.exit(main())
