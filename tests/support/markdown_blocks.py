"""The fenced blocks and inline commands of README.md, CONTRIBUTING.md, docs/ and examples/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from datakit.cli import cli

ROOT = Path(__file__).resolve().parents[2]
TRANSLATED = ROOT / "docs" / "zh"
"""Pages whose blocks are those of their English ones: tests/docs/test_translations.py holds them equal."""
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(path for path in (ROOT / "docs").rglob("*.md") if TRANSLATED not in path.parents),
        *(ROOT / "examples").rglob("*.md"),
    ]
)
_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_BEFORE = re.compile(r"<!-- ([^\n]*?) -->\n\s*\Z")
_TITLE = re.compile(r'title="([^"]+)"')
_INLINE = re.compile(r"(?<!`)`((?:datakit|nox) [^`\n]+)`(?!`)")
_SERVER = re.compile(r"^<!-- run with: (.+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    title: str
    """The file that it is written to, for the blocks after it."""
    marker: str
    """The comment right before it."""
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def not_run(self) -> str:
        """Why it is not run; empty for a block that is."""
        return self.marker.removeprefix("not run: ") if self.marker.startswith("not run: ") else ""


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    text = page.read_text("utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        words = fence[3].split()
        before = _BEFORE.search(text[: fence.start()])
        title = _TITLE.search(fence[3])
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, fence.start()) + 1,
                language=words[0] if words else "",
                title=title[1] if title else "",
                marker=before[1] if before else "",
                text=re.sub(rf"^{fence[1]}", "", fence[4], flags=re.MULTILINE),
            )
        )
    return found


def server_of(page: Path) -> str:
    """What the page's blocks talk to; empty for none."""
    found = _SERVER.search(page.read_text("utf-8"))
    return found[1] if found else ""


def inline_commands(page: Path) -> Iterator[str]:
    """Commands of datakit and nox in running text."""
    prose = _FENCE.sub("", page.read_text("utf-8"))
    yield from (command.replace("&#124;", "|") for command in _INLINE.findall(prose))


def shown_commands(block: Block) -> Iterator[str]:
    """Lines of a block of plain text, such as a help, that are commands."""
    for line in block.text.splitlines():
        if re.match(r"\s*datakit [a-z]", line) and "usage:" not in line.lower():
            yield re.split(r"\s{2,}", line.strip())[0]


def command_lines(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell text, each as its words."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words: list[str] = []
        skip = False
        for word in lexer:
            if set(word) <= set("|&;"):
                yield words
                words = []
            elif set(word) <= set("<>") or skip:
                skip = not skip  # the word after a redirection is a file
            elif words or not re.match(r"\w+=", word):
                words.append(word)
        yield words


def fault_of(words: list[str]) -> str:
    """What is wrong with a command line of datakit: an unknown command, option or a word too many."""
    context, command, rest = click.Context(cli, info_name="datakit"), cli, words[1:]
    while isinstance(command, click.Group):
        if not rest or rest[0].startswith("-"):
            return "" if not rest or rest[0] in ("--help", "--version") else f"no option {rest[0]}"
        inner = command.get_command(context, rest[0])
        if inner is None:
            return f"no command {rest[0]}"
        command, rest = inner, rest[1:]  # type: ignore[assignment]
    try:
        _, left, _ = command.make_parser(click.Context(command)).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    return f"{left} is too much" if left else ""
