"""README.md is short, and every number in it is that of the files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from PIL import Image

from datakit.core.labels import load_labels

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
INTENDED = {"1,000", "1,000,000"}
"""The counts of images that datakit is made for: an aim that the benchmarks hold, no property of a file."""
NAMES = re.compile(r"Qwen[\d.]+-VL|ecom_v\d|Apache-[\d.]+|\]\([^)]*\)|`[^`]*`")


def prose(text: str) -> str:
    """The text without blocks, comments, links' places, code and names that hold a digit."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return NAMES.sub("", re.sub(r"<!--.*?-->", "", text))


def test_readme_is_short() -> None:
    assert len(README.encode()) < 8_000


def test_every_number_is_true() -> None:
    records = len((ROOT / "examples/ecom/train.jsonl").read_text("utf-8").splitlines())
    labels = len(load_labels(ROOT / "templates/ecom/labels.yaml").labels)
    python = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    assert f"{records} drawn shopping-app screens with {labels} Chinese labels" in README.replace("\n", " ")
    known = {str(records), str(labels), python.removeprefix(">="), *INTENDED}
    numbers = set(re.findall(r"\d+(?:[.,]\d+)*", prose(README)))
    assert {str(records), str(labels)} <= numbers
    assert numbers - known == set()


def test_card_states_the_records_that_readme_names() -> None:
    card = (ROOT / "data_cards" / "ecom_v3.md").read_text("utf-8")
    records = len((ROOT / "examples/ecom/train.jsonl").read_text("utf-8").splitlines())
    assert f"图片总计 {records} 张" in " ".join(card.split())


def test_picture_of_the_card_is_small_and_shown() -> None:
    place = "docs/images/card.png"
    assert f"]({place})" in README
    assert (ROOT / place).stat().st_size < 200_000
    with Image.open(ROOT / place) as image:
        assert image.format == "PNG"
        assert image.width > 1000


def test_documents_name_no_owner_and_no_address_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {"urls", "authors", "maintainers"} & project.keys() == set()
