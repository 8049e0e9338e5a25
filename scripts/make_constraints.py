"""Writes .ci/constraints.txt: what README's test command installs, on every Python that is supported.

python scripts/make_constraints.py             in a fresh environment for each Python, from the package index
python scripts/make_constraints.py --compare   where the environment that runs this differs from the file

CI installs what stands there. An interpreter is looked for as python3.11 and so on, or its program is named:
    python scripts/make_constraints.py /opt/python3.12/bin/python3.12
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
HEAD = """\
# What README's test command installs, with the build's own packages: made by scripts/make_constraints.py.
# CI installs these versions (PIP_CONSTRAINT); .github/workflows/upstream.yml the newest ones, every week.
"""
_INSTALL = re.compile(r'pip install [^&\n]*-e "\.\[([\w,]+)\]"')
_CODE = """
import json, sys
from importlib.metadata import distributions
print(json.dumps({"python": "%d.%d" % sys.version_info[:2],
                  "versions": {dist.name: dist.version for dist in distributions()}}))
"""


def extras() -> str:
    """The extras of README's test command, as they stand in it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = readme.partition("<!-- test-command -->")[2].partition("<!-- end -->")[0]
    install = _INSTALL.search(command)
    if install is None:
        raise ValueError('README.md: the test command holds no `pip install ... -e ".[...]"`')
    return install[1]


def pythons() -> list[str]:
    """The versions of Python that pyproject.toml says are supported, as "3.11"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [line.rpartition(" ")[2] for line in project["classifiers"] if "Language :: Python :: 3." in line]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def versions_in(python: Path) -> tuple[str, dict[str, str]]:
    """That interpreter's version and each installed package with its own, by canonical name."""
    done = subprocess.run([python, "-I", "-c", _CODE], capture_output=True, text=True, check=True)
    held = json.loads(done.stdout)
    return held["python"], {canonicalize_name(name): value for name, value in held["versions"].items()}


def fresh_versions(python: str) -> tuple[str, dict[str, str]]:
    """What the install part of the command brings into an empty environment of `python`."""
    own = {name: value for name, value in os.environ.items() if not name.endswith("_CONSTRAINT")}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = Path(folder) / "bin" / "python"
        _, before = versions_in(inside)
        subprocess.run(
            [inside, "-m", "pip", "install", "-q", "-e", f"{ROOT}[{extras()}]"], env=own, check=True
        )
        version, after = versions_in(inside)
    return version, {name: value for name, value in after.items() if name not in {*before, "datakit"}}


def constraints(installed: dict[str, dict[str, str]]) -> str:
    """The file's text, from each Python's versions: a line a version, with a marker where Pythons differ."""
    lines = []
    for name in sorted({name for versions in installed.values() for name in versions}):
        by_version: dict[str, list[str]] = {}
        for python, versions in installed.items():
            if name in versions:
                by_version.setdefault(versions[name], []).append(python)
        for version, pythons_of_it in by_version.items():
            marker = " or ".join(f'python_version == "{python}"' for python in pythons_of_it)
            everywhere = len(pythons_of_it) == len(installed)
            lines.append(f"{name}=={version}" + ("" if everywhere else f" ; {marker}"))
    return HEAD + "\n".join(lines) + "\n"


def pinned(text: str) -> list[Requirement]:
    """The lines of the file, those for other Pythons too."""
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def differences() -> list[str]:
    """Where this environment has another version than the file, or a package that the file does not name."""
    expected = {
        canonicalize_name(line.name): str(line.specifier).removeprefix("==")
        for line in pinned(CONSTRAINTS.read_text(encoding="utf-8"))
        if line.marker is None or line.marker.evaluate()
    }
    here = {canonicalize_name(dist.name): dist.version for dist in distributions()}
    own = {"datakit", "pip", "setuptools", "wheel"}
    return [
        f"{name}: {expected.get(name, 'not named')} -> {here.get(name, 'not installed')}"
        for name in sorted({*expected, *here} - own)
        if expected.get(name) != here.get(name)
    ]


def interpreters(given: list[str]) -> dict[str, str]:
    """A program for each supported Python. Raises ValueError naming those that are missing."""
    programs = {versions_in(Path(path))[0]: path for path in given}
    for version in pythons():
        programs.setdefault(version, shutil.which(f"python{version}") or "")
    missing = [version for version in pythons() if not programs[version]]
    if missing:
        raise ValueError(f"no Python {', '.join(missing)} here: name its program as an argument")
    return {version: programs[version] for version in pythons()}


def main(arguments: list[str]) -> int:
    """0 when the file is written, or compared."""
    if arguments == ["--compare"]:
        print("\n".join(differences()) or "This environment is that of .ci/constraints.txt.")
        return 0
    installed = dict(fresh_versions(program) for program in interpreters(arguments).values())
    CONSTRAINTS.write_text(constraints(installed), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
