"""Writes docs/reference/ out of the code, the decisions by area out of DECISIONS.md, README's recipe, and
SECURITY.md's table of faults out of the markers of the tests.

python scripts/make_reference.py           writes them
python scripts/make_reference.py --check   ends with 1 and their names when some are not current
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import decision_page
import fault_table
import reference_pages
from benchmarks import page as benchmarks_page

from datakit.core.errors import did_you_mean

ROOT = Path(__file__).resolve().parent.parent
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
RECIPE = ROOT / "recipes" / "ecom_v3.yaml"
DECISIONS = ROOT / "DECISIONS.md"
SECURITY = ROOT / "SECURITY.md"


def files() -> dict[Path, str]:
    """Every generated file with its text."""
    recipe = f"```yaml\n{RECIPE.read_text(encoding='utf-8').rstrip()}\n```"
    decisions = decision_page.page(DECISIONS.read_text(encoding="utf-8"))
    faults = fault_table.fault_table(fault_table.faults(ROOT / "tests"))
    security = filled(SECURITY.read_text(encoding="utf-8"), {"faults": f"\n{faults}\n"})
    return {
        **{path: filled(path.read_text(encoding="utf-8"), {"recipe": recipe}) for path in READMES},
        SECURITY: security,
        ROOT / "docs" / "reference" / "benchmarks.md": benchmarks_page.page(),
        ROOT / "docs" / "explanation" / "decisions.md": decisions,
        ROOT / "docs" / "explanation" / "security.md": fault_table.page(security),
        **{ROOT / "docs" / "reference" / name: text for name, text in reference_pages.pages().items()},
    }


def filled(text: str, contents: dict[str, str]) -> str:
    """`text` with each part between its markers. Raises ValueError for a marker that is not there."""
    for marker, content in contents.items():
        pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            markers = re.findall(r"<!-- ([\w-]+) -->", text)
            raise ValueError(f"no marker <!-- {marker} -->. {did_you_mean(marker, markers)}")
        text = pattern.sub(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)
    return text


def stale() -> list[Path]:
    """Generated files that are not as they would be written."""
    return [
        path
        for path, text in files().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """0 when everything is, or becomes, current."""
    if "--check" in arguments:
        names = [path.relative_to(ROOT).as_posix() for path in stale()]
        if names:
            print(f"Not current: {', '.join(names)}. Run: python scripts/make_reference.py", file=sys.stderr)
        return int(bool(names))
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
