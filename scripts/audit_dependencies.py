"""Known vulnerabilities of what .ci/constraints.txt names, by pip-audit; `nox -s audit` has it installed.

Ends with 0 when every package was looked up and none has any, with 1 and their names when some have, and
with 75 when some could not be looked up: pip-audit itself calls that "no known vulnerabilities" and ends with
0 (2.10.1, against a mirror of the index that has no advisories, 2026-11-26).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / ".ci" / "constraints.txt"
FINE, VULNERABLE, NOT_LOOKED_UP = 0, 1, 75
COMMAND = (
    *("-m", "pip_audit", "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip"),
    *("--progress-spinner", "off", "--timeout", "15", "--format", "json"),
)


def judged(output: str, errors: str) -> tuple[int, list[str]]:
    """The exit code and the lines to print, of what pip-audit wrote."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["it printed nothing"]
        return NOT_LOOKED_UP, [f"Not audited, pip-audit gave no report: {last[0]}"]
    lines = [
        f"{package['name']} {package['version']}: {fault['id']}, mended in "
        f"{', '.join(fault['fix_versions']) or 'no release yet'}"
        for package in packages
        for fault in package.get("vulns", ())
    ]
    skipped = [package for package in packages if "skip_reason" in package]
    if skipped or not packages:
        first = f", the first: {skipped[0]['skip_reason']}" if skipped else ""
        lines.append(f"{len(skipped)} of {len(packages)} packages could not be looked up{first}")
    if any(package.get("vulns") for package in packages):
        return VULNERABLE, lines
    return (NOT_LOOKED_UP, lines) if lines else (FINE, [f"{len(packages)} packages: nothing known"])


def main() -> int:
    done = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, check=False)
    code, lines = judged(done.stdout, done.stderr)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
