"""Runs examples/notebook.ipynb from a clean copy of the examples and writes its outputs into it.

pip install -e ".[test]"            # Jupyter's nbformat, nbclient and ipykernel are in no other extra
python scripts/run_notebook.py
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

try:
    import ipykernel  # noqa: F401 (the kernel that the notebook runs in)
    import nbformat
    from nbclient import NotebookClient
except ModuleNotFoundError as error:
    raise SystemExit(f"{error.name} is not installed. Install it: pip install -e '.[test]'") from None

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
NEEDED = ("examples", "recipes", "templates")
CELL_S = 300
PROGRESS = re.compile(r".+: [\d,]+ of [\d,]+, [\d.]+/s, \d+ s left.*")


def executed(folder: Path) -> Any:
    """The notebook after a run in `folder`, which becomes a project of the shipped files.

    Raises CellExecutionError at the first cell that fails.
    """
    for name in NEEDED:
        shutil.copytree(ROOT / name, folder / name)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(folder / "examples")}}
    NotebookClient(notebook, timeout=CELL_S, resources=place, record_timing=False).execute()
    notebook.metadata.pop("language_info", None)  # holds the version of Python
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", {}):  # the table as text names the folder it was run in
                output.data["text/plain"] = output.data["text/plain"].partition("\n")[0]
    return notebook


def _is_progress(output: Any) -> bool:
    """Whether it holds progress alone, which steps print on machines that take over 10 s for them."""
    if output.output_type == "display_data":
        return output.data.get("text/html") == ""  # a bar that was taken away
    if output.output_type != "stream" or output.name != "stderr":
        return False
    return all(PROGRESS.fullmatch(line) for line in output.text.splitlines())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        nbformat.write(executed(Path(work)), NOTEBOOK)
