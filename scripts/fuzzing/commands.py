"""Commands of datakit in this process."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from datakit.cli import cli


def command(*words: str | Path) -> tuple[int, str]:
    """Exit code and output of a command of datakit. Errors are raised, not written."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = cli.main(args=[str(word) for word in words], prog_name="datakit", standalone_mode=False)
    return (code if isinstance(code, int) else 0), output.getvalue()
