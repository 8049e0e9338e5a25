"""Counts the parameters of the models in datakit/core/qwen_models.json with transformers, for the tests.

What comes out: tests/training/model_sizes.json, name -> parameters (tied ones once), the vision tower's, the
projector's, and the largest single module, counted as DeepSpeed counts them. Tensors are made on torch's
`meta` device, so that 72 billion parameters need no memory. Then DeepSpeed's own estimators, loaded from its
source files (no GPU, nothing compiled), give bytes for every mode.

run in an environment with torch and transformers, and DeepSpeed's source package unpacked:
    python scripts/make_model_sizes.py --deepspeed deepspeed-0.19.8/deepspeed
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "training" / "model_sizes.json"
CLUSTERS = ((1, 1), (4, 1), (8, 2))
"""GPUs of a node, nodes."""


def count(config: dict[str, Any]) -> dict[str, int]:
    """Parameters by part, by building the model without memory."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    configuration = AutoConfig.for_model(
        config["model_type"], **{k: v for k, v in config.items() if k != "model_type"}
    )
    text = config.get("text_config", config)
    configuration.tie_word_embeddings = config.get(
        "tie_word_embeddings", text.get("tie_word_embeddings", False)
    )
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(configuration)
        model.tie_weights()
    unique = {id(parameter): parameter.numel() for parameter in model.parameters()}
    names = {"vision": 0, "projector": 0}
    for name, parameter in model.named_parameters():
        if "visual." in name:
            names["projector" if "merger" in name else "vision"] += parameter.numel()
    own = (sum(p.numel() for p in module.parameters(recurse=False)) for module in model.modules())
    return {"parameters": sum(unique.values()), **names, "largest_layer": max(own)}


def estimators(folder: Path) -> dict[str, Any]:
    """DeepSpeed's two functions, taken out of its files: importing the package would look for compilers."""
    functions = {
        "stage3.py": "estimate_zero3_model_states_mem_needs",
        "stage_1_and_2.py": "estimate_zero2_model_states_mem_needs",
    }
    namespace: dict[str, Any] = {}
    for file, name in functions.items():
        tree = ast.parse((folder / "runtime" / "zero" / file).read_text("utf-8"))
        body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        exec(compile(ast.Module(body, []), file, "exec"), namespace)
    return namespace


def states(sizes: dict[str, int], functions: dict[str, Any]) -> list[dict[str, Any]]:
    """Bytes per GPU and per host of every mode and cluster, with the host figure not multiplied by 1.5."""
    rows = []
    total, largest = sizes["parameters"], sizes["largest_layer"]
    zero3 = functions["estimate_zero3_model_states_mem_needs"]
    zero2 = functions["estimate_zero2_model_states_mem_needs"]
    for gpus, nodes in CLUSTERS:
        for mode, offload, parameters in (("z3", 0, 0), ("z3_offload_optimizer", 1, 0), ("z3_offload", 1, 1)):
            host, gpu, _ = zero3(total, largest, gpus, nodes, bool(offload), bool(parameters), True, 1)
            rows.append({"mode": mode, "gpus": gpus, "nodes": nodes, "gpu": gpu, "host": host})
        for mode, offload in (("z2", 0), ("z2_offload", 1)):
            host, gpu = zero2(total, gpus, nodes, bool(offload), 1)
            rows.append({"mode": mode, "gpus": gpus, "nodes": nodes, "gpu": gpu, "host": host})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deepspeed", type=Path, required=True, help="the package's folder, unpacked")
    options = parser.parse_args()
    table = json.loads((ROOT / "datakit" / "core" / "qwen_models.json").read_text("utf-8"))
    functions = estimators(options.deepspeed)
    models = {}
    for name, config in table.items():
        sizes = count(config)
        models[name] = {**sizes, "states": states(sizes, functions)}
        print(name, sizes)
    OUT.write_text(json.dumps(models, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
