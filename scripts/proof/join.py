"""Results of a later run put beside those that are kept: the same questions, other variants or trainings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proof.variants import VARIANTS


def join(kept: Path, later: Path) -> None:
    """Adds what the later file has of each variant to the kept one, and tells which machine it ran on.

    Raises ValueError where the two asked about other screens, so that their answers cannot be compared.
    """
    old, new = (json.loads(path.read_text("utf-8")) for path in (kept, later))
    for key in ("labels", "truth"):
        if old[key] != new[key]:
            raise ValueError(f"{later} asked about other screens than {kept}: `{key}` differs")
    old["facts"]["variants"] = _in_order(old["facts"]["variants"] | new["facts"]["variants"])
    old["facts"]["many_steps"] |= new["facts"]["many_steps"]
    old["facts"]["screens"] = new["facts"]["screens"]
    old["variants"] = _in_order(old["variants"] | new["variants"])
    named = [name for name in old["not_run"] if name not in new["variants"]]
    old["not_run"] = {name: new["not_run"].get(name, old["not_run"][name]) for name in named}
    runs = [
        {**run, "variants": [name for name in run["variants"] if name not in new["variants"]]}
        for run in old["later_runs"]
    ]
    runs.append({"machine": new["machine"], "variants": list(new["variants"])})
    old["later_runs"] = [run for run in runs if run["variants"]]
    if "plain" in new["variants"]:
        old["memory"] = new["memory"]
    if new["vllm"]:
        old["vllm"] = new["vllm"]
    kept.write_text(json.dumps(old, ensure_ascii=False), "utf-8")


def _in_order(named: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: named[one.name] for one in VARIANTS if one.name in named}
