"""Writes the generated parts of README.md: a recipe, the commands, the transforms with their parameters.

python scripts/make_reference.py           writes them between their markers
python scripts/make_reference.py --check   ends with 1 when README.md is not current
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from datakit.cli import COMMANDS
from datakit.core.errors import did_you_mean
from datakit.recipe.reference import Entry, entries

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RECIPE = ROOT / "recipes" / "ecom_v3.yaml"


def parts(listed: list[Entry]) -> dict[str, str]:
    """Marker -> text between `<!-- marker -->` and `<!-- end -->`."""
    return {
        "recipe": f"```yaml\n{RECIPE.read_text(encoding='utf-8').rstrip()}\n```",
        "commands": table(("command", "what it does"), [(f"`datakit {n}`", t) for n, t in COMMANDS.items()]),
        "transforms": transforms(listed),
    }


def transforms(listed: list[Entry]) -> str:
    """The table of all transforms, and one of all parameters that can be unfolded."""
    summary = table(
        ("transform", "kind", "what comes out"),
        [(f"`{item.name}`", item.kind, item.summary) for item in listed],
    )
    rows = [
        (
            f"`{item.name}`" if first else "",
            f"`{parameter.name}`",
            parameter.type,
            parameter.default_text if parameter.required else f"`{parameter.default_text}`",
            parameter.help,
        )
        for item in listed
        for first, parameter in zip((True, *[False] * len(item.parameters)), item.parameters, strict=False)
    ]
    parameters = table(("transform", "parameter", "type", "default", "meaning"), rows)
    head = "<details>\n<summary>All parameters</summary>\n"
    return f"{summary}\n\n{head}\n{parameters}\n\n</details>"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def filled(text: str, contents: dict[str, str]) -> str:
    """`text` with each part between its markers. Raises ValueError for a marker that is not there."""
    for marker, content in contents.items():
        pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            found = re.findall(r"<!-- ([\w-]+) -->", text)
            raise ValueError(f"no marker <!-- {marker} -->. {did_you_mean(marker, found)}")
        text = pattern.sub(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)
    return text


def main(arguments: list[str]) -> int:
    """0 when README.md is, or becomes, current."""
    before = README.read_text(encoding="utf-8")
    after = filled(before, parts(entries()))
    if "--check" in arguments:
        if before != after:
            print("README.md is not current. Run: python scripts/make_reference.py", file=sys.stderr)
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
