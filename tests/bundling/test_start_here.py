"""START_HERE.md of a bundle: what a stranger needs to know, and nothing that is not so."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.artifacts.needs import Needs
from datakit.bundling.start_here import gigabytes, start_here, token_count
from datakit.core.clock import rough_duration
from tests.support.unpacked import Unpacked

Make = Callable[..., Path]
FILES = ["START_HERE.md", "run.sh", "shop/train.yaml", "shop/images/a.png", "datakit/core/errors.py"]
NEEDS = Needs(
    base="Qwen/Qwen2.5-VL-7B-Instruct",
    base_bytes=16_584_333_312,
    parameters=8_292_166_656,
    gpu_bytes=20 << 30,
    host_bytes=31 << 30,
    checkpoint_bytes=600_000_000,
    checkpoints=3,
    trained_bytes=200_000_000,
    served_bytes=16_584_333_312,
    rows=12_000,
    pictures=13_000,
    workers=4,
    steps=2_250,
    tokens=40_000_000,
    token_flops=6 * 8_292_166_656,
    questions=1_000,
    question_tokens=1_400_000,
)


def page(needs: Needs = NEEDS, folder: str = "shop-bundle") -> str:
    return start_here("shop", folder, needs, FILES)


@pytest.fixture
def unpacked(make_build: Make, tmp_path: Path) -> Unpacked:
    return Unpacked(make_build(), tmp_path / "there")


def test_needs_disk_memory_and_time_are_reckoned() -> None:
    text = page()
    assert "| GPUs for training | 1, 20.0 GiB each |" in text
    assert "| memory of the machine | 31.0 GiB |" in text
    assert "| disk of this folder | 18.6 GB | 3 checkpoints of 0.6 GB" in text
    assert "| disk of the base model | 16.6 GB |" in text
    assert (
        "10 min. Before its first step the pictures of all rows are read: 13,000 pictures by 4 workers"
        in " ".join(text.split())
    )
    assert "2,250 steps; 12,000 rows an epoch" in text
    assert "LLaMA-Factory 0.9.5" in text
    one = " ".join(page(replace(NEEDS, rows=1, pictures=1, workers=1, steps=1, checkpoints=1)).split())
    assert re.findall(r"\b1 (?:row|picture|worker|step|checkpoint|file)s\b", one) == []
    assert "1 picture by 1 worker" in one
    assert "`shop/images/`: 1 picture, none larger" in one
    assert "vllm==0.25.1" in text


def test_time_of_the_training_is_its_operations_by_the_speed_of_the_gpus() -> None:
    work = NEEDS.tokens * NEEDS.token_flops
    assert f"H100 {rough_duration(work / (989e12 * 0.35))}" in page()
    assert f"H100 {rough_duration(work / (989e12 * 0.35 * 8))}" in page(replace(NEEDS, gpus=4, nodes=2))


def test_what_is_not_known_is_said_to_be_so() -> None:
    text = page(Needs(base="org/unheard-of"))
    assert text.count("not reckoned") >= 5
    assert "H100" not in text
    assert "0.0 GiB" not in text


def test_folder_of_the_base_model_is_asked_for_by_name() -> None:
    text = page(replace(NEEDS, base="/data/models/qwen"))
    assert "export MODEL=/folder/of/the/base/model" in text
    assert "`/data/models/qwen`" in text
    assert "MODEL=" not in page().split("## What this machine needs")[0]


def test_deepspeed_nodes_and_offloading_are_told() -> None:
    text = page(replace(NEEDS, mode="z3_offload", gpus=4, nodes=2))
    assert "4 on each of 2 nodes" in text
    assert "pip install llamafactory==0.9.5 deepspeed" in text
    assert "`z3_offload`" in text
    assert "deepspeed" not in page()
    no_pictures = replace(NEEDS, pictures=0)
    assert "Start of the training: 40 s" in page(no_pictures)
    assert "Start of the training: 60 s" in page(replace(no_pictures, mode="z2"))
    assert re.search(r"Start of the training: (100 s|.*2 min)", page(replace(no_pictures, mode="z2_offload")))


@pytest.mark.parametrize("name", ["a|b", "x`y", "/mo\ndels", "/m\x1b[31m"])
def test_name_of_a_model_breaks_no_table(name: str) -> None:
    table = [line for line in page(replace(NEEDS, base=name)).split("\n") if line.startswith("|")]
    assert len(table) == 7
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}
    assert all(line.isprintable() for line in table)


def test_folder_reaches_the_shell_as_one_word() -> None:
    assert "cd 'my shop-bundle'\n" in page(folder="my shop-bundle")


def test_every_file_of_the_bundle_is_named(unpacked: Unpacked) -> None:
    text = (unpacked.folder / "START_HERE.md").read_text("utf-8")
    listed = text.partition("## The files")[2]
    for path in unpacked.folder.rglob("*"):
        name = path.relative_to(unpacked.folder).as_posix()
        if path.is_file() and not name.startswith(("datakit/", "screens/images/")):
            assert f"`{name.removeprefix('screens/')}`" in listed, name
    assert f"{len(list((unpacked.folder / 'datakit').rglob('*.py')))} files of datakit's own code" in listed
    assert f"`screens/images/`: {len(list((unpacked.folder / 'screens' / 'images').iterdir()))}" in listed


def test_its_own_commands_take_a_stranger_to_the_scores(unpacked: Unpacked) -> None:
    """The first block of the page, typed into a shell in the folder where the bundle was unpacked."""
    text = (unpacked.folder / "START_HERE.md").read_text("utf-8")
    block = next(block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    base = unpacked.folder.parent.parent / "base"
    commands = block.replace("/folder/of/the/base/model", shlex.quote(str(base)))
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        env=unpacked.environment,
        cwd=unpacked.folder.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is missing" in done.stdout
    assert (unpacked.folder / "results.tar").is_file()


@pytest.mark.parametrize(
    ("tokens", "shown"), [(0, "0"), (41_237, "41,237"), (999_999, "999,999"), (1_400_000, "1.4 million")]
)
def test_tokens_of_a_small_set_are_not_nought_million(tokens: int, shown: str) -> None:
    assert token_count(tokens) == shown
    assert f"over {shown} tokens:" in page(replace(NEEDS, tokens=max(tokens, 1))) or not tokens


def test_page_is_the_same_for_the_same_build() -> None:
    assert page() == page()
    assert start_here("shop", "shop-bundle", NEEDS, reversed(FILES)) == page()


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "not reckoned"), (1, "1 MB"), (99_999_999, "100 MB"), (1_000_000_001, "1.1 GB")]
)
def test_sizes_are_rounded_up(size: float, shown: str) -> None:
    assert gigabytes(size) == shown
