"""A Python that runs one piece of code after the other and keeps its names, as a notebook does."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

_LISTENER = """
import json as _json, os as _os, sys as _sys, traceback as _traceback
for _line in _sys.stdin:
    _piece = _json.loads(_line)
    _os.chdir(_piece["folder"])
    try:
        exec(compile(_piece["code"], _piece["where"], "exec"), globals())
        _fine = b"y"
    except BaseException:
        _traceback.print_exc()
        _fine = b"n"
    _sys.stdout.flush()
    _os.write(int(_sys.argv[1]), _fine)
"""


class KeptPython:
    """A process of its own, whose start and imports are paid once."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment, self.log = dict(environment), log
        self._answers, told = os.pipe()
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LISTENER, str(told)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                pass_fds=[told],
            )
        os.close(told)

    def fault(self, code: str, where: str, folder: str, timeout_s: float) -> str | None:
        """What the process has printed if the code raises, ends the process or takes too long, else None."""
        piece = json.dumps({"code": code, "where": where, "folder": folder})
        assert self._process.stdin is not None
        self._process.stdin.write(f"{piece}\n".encode())
        self._process.stdin.flush()
        heard, _, _ = select.select([self._answers], [], [], timeout_s)
        if heard and os.read(self._answers, 1) == b"y":
            return None
        return self.log.read_text("utf-8", "replace") or "(it printed nothing)"

    def close(self) -> int:
        """The exit code, after the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._answers)
