"""The Chinese README and tutorials say what the English ones say: the same parts, commands and names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md", ROOT / "README.zh-CN.md")
TUTORIALS = [
    (path, ROOT / "docs" / "zh" / "tutorials" / path.name)
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.md"))
]
PAIRS = [README, *TUTORIALS]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HAN = re.compile(r"[\u4e00-\u9fff]")
pairs = pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[pair[0].stem for pair in PAIRS])


def blocks(path: Path) -> list[str]:
    return FENCE.findall(path.read_text("utf-8"))


def commands(block: str) -> list[str]:
    """The lines of a block without what stands behind #."""
    return [re.sub(r"\s+# .*$", "", line) for line in block.splitlines()]


def prose(path: Path) -> str:
    """The text without blocks and comments."""
    return re.sub(r"<!--.*?-->", "", FENCE.sub("", path.read_text("utf-8")))


def test_every_tutorial_has_a_chinese_one() -> None:
    assert len(TUTORIALS) >= 4
    written = sorted(path.name for path in (ROOT / "docs" / "zh" / "tutorials").iterdir())
    assert written == [chinese.name for _, chinese in TUTORIALS]


def test_commands_of_the_readme_are_the_same() -> None:
    english, chinese = README
    assert [commands(block) for block in blocks(chinese)] == [commands(block) for block in blocks(english)]


@pytest.mark.parametrize(("english", "chinese"), TUTORIALS, ids=[pair[0].stem for pair in TUTORIALS])
def test_blocks_of_tutorials_are_the_same(english: Path, chinese: Path) -> None:
    assert blocks(chinese) == blocks(english)


@pairs
def test_parts_correspond(english: Path, chinese: Path) -> None:
    def shape(path: Path) -> list[str]:
        """Headings by depth, blocks, points of lists and rows of tables, in their order."""
        text = FENCE.sub("@block", path.read_text("utf-8"))
        found = re.findall(r"^(#+ |@block|- |\||!\[)", text, re.MULTILINE)
        return [mark.strip() for mark in found]

    assert shape(chinese) == shape(english)


@pairs
def test_names_in_code_are_the_same(english: Path, chinese: Path) -> None:
    def names(path: Path) -> set[str]:
        return {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose(path))}

    assert names(chinese) == names(english)


@pairs
def test_numbers_in_figures_are_the_same(english: Path, chinese: Path) -> None:
    def numbers(path: Path) -> set[str]:
        text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose(path))
        return set(re.findall(r"\d+(?:[.,]\d+)*", text))

    assert numbers(chinese) == numbers(english)


@pairs
def test_they_link_to_each_other_and_chinese_pages_are_in_chinese(english: Path, chinese: Path) -> None:
    def linked(path: Path) -> set[Path]:
        links = re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))
        assert [link for link in links if not (path.parent / link).exists()] == []
        return {(path.parent / link).resolve() for link in links}

    assert chinese in linked(english)
    assert english in linked(chinese)
    assert len(HAN.findall(prose(chinese))) > 400
    headings = re.findall(r"^##+ (.*)$", prose(chinese), re.MULTILINE)
    assert [heading for heading in headings if not HAN.search(heading)] == []


def test_chinese_readme_links_to_what_the_english_one_does() -> None:
    def linked(path: Path) -> set[str]:
        found = set(re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))) - {page.name for page in README}
        return {link.replace("docs/zh/tutorials/", "docs/tutorials/") for link in found}

    assert linked(README[0]) <= linked(README[1])


def test_chinese_readme_is_short() -> None:
    assert len(README[1].read_bytes()) <= 10_000


def test_chinese_tutorials_are_in_the_navigation() -> None:
    text = re.sub(r"^.*!!.*$", "", (ROOT / "mkdocs.yml").read_text("utf-8"), flags=re.MULTILINE)
    nav = yaml.safe_load(text)["nav"]
    pages = next(value for entry in nav for name, value in entry.items() if HAN.search(name))
    assert sorted(pages) == [f"zh/tutorials/{chinese.name}" for _, chinese in TUTORIALS]
