"""Golden files: the output of a version of a transform, whose change demands a new version."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from datakit.testing._expect import expect

WRITE = "DATAKIT_GOLDEN"


def compare_golden(path: Path, version: int, output: Any, *, root: Path | None = None) -> None:
    """The output equals the golden file; a new golden file is written only for a new version."""
    name = path.stem
    golden = json.loads(path.read_text("utf-8")) if path.exists() else {"version": 0}
    text = json.dumps(output, ensure_ascii=False, default=str)
    same_everywhere = json.loads(text.replace(str(root), "ROOT") if root else text)
    if os.environ.get(WRITE) == "write" and golden["version"] < version:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = json.dumps({"version": version, "output": same_everywhere}, ensure_ascii=False, indent=1)
        path.write_text(kept + "\n", "utf-8")
        return
    expect(
        golden["version"] == version,
        f"{path} holds no golden output of version {version}: run the tests once with {WRITE}=write in the "
        "environment, and read what they wrote",
    )
    expect(
        same_everywhere == golden["output"],
        f"{name} gives another output than {path}: raise its `version`, or mend it",
    )
