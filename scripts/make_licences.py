"""Writes docs/reference/licences.md: licence of every package of .ci/constraints.txt and what needs it.

python scripts/make_licences.py   in an environment that holds those versions; names the differences otherwise

Licences are those that packages state of themselves: the SPDX expression, else the field `License`, else the
classifiers. One that is not in the lists below, as any that binds programs which use the package, stops the
script.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from email.message import Message
from importlib.metadata import Distribution, PackageMetadata, distribution
from pathlib import Path

from make_constraints import CONSTRAINTS, differences, pinned
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from reference_text import table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "licences.md"
SHOWN_EXTRAS = ("ocr", "hub", "socks", "docs", "test")
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD", "CC0-1.0", "CNRI-Python", "ISC", "MIT"),
    *("MIT-CMU", "PSF-2.0", "Zlib"),
}
"""SPDX names; `BSD` is that of packages which do not say how many clauses."""
WEAK = {"MPL-2.0": "changed files of the package itself must stay under it; programs that use it need not"}
"""SPDX name -> what it asks for."""
SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
UNSTATED = {"mlcroissant": "Apache-2.0"}
"""Packages whose wheel says nothing -> the licence of the repository that they are made in."""
INSIDE = {
    "libavcodec": "FFmpeg, LGPL-2.1",
    "libgeos": "GEOS, LGPL-2.1",
    "libgfortran": "the runtime of GNU Fortran, GPL-3.0 with GCC's runtime exception",
    "libgomp": "the runtime of GNU OpenMP, GPL-3.0 with GCC's runtime exception",
    "libzmq": "ZeroMQ, MPL-2.0",
}
"""Shared libraries under a licence of their own that wheels carry, by the beginning of their file's name."""
INTRO = (
    "What stands in an environment on Linux after README's test command, as its packages state it, and "
    "what brings it there: `datakit` itself, one of its [extras](extras.md), or the `build` of its wheel. "
    "datakit is under Apache-2.0 and holds a copy of none of them: pip fetches each from the package "
    "index. All but the ones named below the table ask for no more than that their text goes along with a "
    "copy. `BSD` stands where a package does not say how many clauses it means."
)
AFTER = (
    "The extras `train`, `serve`, `paddleocr` and `fast` are not listed: they are for other environments, "
    "and bring what LLaMA-Factory, vLLM and PaddleOCR choose. Weights and data sets that you fetch have "
    "licences of their own."
)


def known(expression: str) -> bool:
    """Whether every licence of an SPDX expression is in the lists."""
    names = set(re.split(r"[\s()]+", expression)) - {"AND", "OR", ""}
    return bool(names) and names <= PERMISSIVE | WEAK.keys()


def licence_of(metadata: PackageMetadata | Message) -> str:
    """The licence that a package states. Raises ValueError with its words when none is known."""
    (expression, *_), (field, *_) = (
        metadata.get_all(name) or [""] for name in ("License-Expression", "License")
    )
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved :: ")
    ]
    stated = [
        UNSTATED.get(metadata["Name"], ""),
        expression,
        field.strip().partition("\n")[0].strip(),
        *classifiers,
    ]
    for words in stated:
        licence = SPELLINGS.get(words.lower(), words)
        if known(licence):
            return licence
        if words and words == expression:
            break  # an SPDX expression is exact: no other field may say it more kindly
    raise ValueError(
        f"{metadata['Name']}: licence {' / '.join(filter(None, stated)) or 'not stated'} is not in the lists"
    )


def needs(requirements: Iterable[str], extras: Iterable[str] = ()) -> list[Requirement]:
    """Those of a package's requirements that hold here, with the extras asked of it."""
    lines = [Requirement(line) for line in requirements]
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [
        line
        for line in lines
        if line.marker is None or any(line.marker.evaluate(env) for env in environments)
    ]


def closure(requirements: Iterable[Requirement]) -> set[str]:
    """Canonical names of all packages that these bring, themselves included."""
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        line = waiting.pop()
        name = canonicalize_name(line.name)
        for extra in ("", *line.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += needs(distribution(name).requires or (), [extra] if extra else [])
        names.add(name)
    return names


def needed_by() -> dict[str, list[str]]:
    """Package -> `datakit` where every installation has it, else the extras that bring it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    project = document["project"]
    always = closure(needs(project["dependencies"]))
    holders = {name: ["datakit"] for name in always}
    for extra in SHOWN_EXTRAS:
        lines = [line for line in project["optional-dependencies"][extra] if not line.startswith("datakit[")]
        for name in closure(needs(lines)) - always:
            holders.setdefault(name, []).append(extra)
    for name in closure(needs(document["build-system"]["requires"])):
        holders.setdefault(name, []).append("build")
    return holders


def inside(package: Distribution) -> list[str]:
    """What a wheel carries under a licence of its own."""
    files = [path.name for path in package.files or ()]
    return [words for start, words in INSIDE.items() if any(file.startswith(start) for file in files)]


def rows() -> list[tuple[str, str, str]]:
    """Name, licence and what needs it, of every package. Raises ValueError naming all that cannot be told."""
    holders, lines, wrong = needed_by(), [], []
    for name in sorted({canonicalize_name(line.name) for line in pinned(CONSTRAINTS.read_text("utf-8"))}):
        try:
            licence = licence_of(distribution(name).metadata)
        except ValueError as error:
            wrong.append(str(error))
            continue
        if name not in holders:
            wrong.append(f"{name}: nothing needs it")
        lines.append((f"`{name}`", licence, ", ".join(holders.get(name, ()))))
    if wrong:
        raise ValueError("\n".join(wrong))
    return lines


def page() -> str:
    """The page's Markdown."""
    lines = rows()
    weak = [
        f"- {licence}: {words}. Here: {', '.join(name for name, stated, _ in lines if licence in stated)}."
        for licence, words in WEAK.items()
    ]
    carried = [
        f"- {name}: its wheel carries {words}."
        for name, _, _ in lines
        for words in inside(distribution(name.strip("`")))
    ]
    blocks = [
        "<!-- Made by scripts/make_licences.py out of what the packages of .ci/constraints.txt state. -->",
        "# Licences",
        INTRO,
        table(("package", "licence", "needed by"), lines),
        "## Licences that ask for more than their text",
        "\n".join([*weak, *carried]),
        AFTER,
    ]
    return "\n\n".join(blocks) + "\n"


def main() -> int:
    """0 when the page is written, 1 where this environment is not that of the constraints."""
    if lines := differences():
        print("This environment is not that of .ci/constraints.txt:", *lines, sep="\n", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
