"""What the answers to a split, a folder or a file are called in the folder of a run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from datakit.artifacts.run_ids import safe
from datakit.core.regular_files import read_regular, regular
from datakit.serving.records import SPLITS

CLAIMS = ".sources"
"""Folder in that of a run: for each name the absolute path of the folder or file that has it."""


def source_name(run: Path, source: str) -> str:
    """The name of what is asked, for `predictions_<name>_<run>.jsonl` in the folder of a run.

    A split has its own name. A folder or file has its name without suffix, which is kept for it in the run
    from then on. Where that is a split's, or kept for another folder or file, a digest of its absolute path
    is added: `val-1a2b3c`.
    """
    if source in SPLITS:
        return source
    plain, path = Path(source).stem or "folder", os.path.abspath(source)
    name = safe(plain)
    if name.lower() not in SPLITS and _claimed_by(run / CLAIMS / name, path) == path:
        return plain
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    return f"{safe(plain, 70)}-{digest[:6]}"


def _claimed_by(claim: Path, path: str) -> str:
    """Whose a name is; the path's from now on where it was nobody's."""
    try:
        owner = os.fsdecode(read_regular(claim))
    except FileNotFoundError:
        owner = ""
    if not owner:  # nobody's, or the writing was cut off
        claim.parent.mkdir(parents=True, exist_ok=True)
        with open(claim, "wb", opener=regular) as file:
            file.write(os.fsencode(path))
        owner = path
    return owner
