"""Pipes, sockets, devices and files of the kernel in the place of every file that a user or the data names."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

PATIENCE_S = 20
RECIPE = """\
labels: {labels}
name: shop
llm: {{provider: offline}}
steps:
  - {reader}
  - guard.image: {{}}
  - annotate.describe: {{template: ask.j2}}
  - render.chat: {{prompt: shown.j2, answer: reply.j2}}
emit: [{{llamafactory: {{images: link}}}}]
run: {{max_reject_rate: 1.0, workers: 1}}
"""
JSONL = "read.jsonl: {path: ../rows.jsonl}"
Maker = Callable[[Path], object]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    held = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(path.parent)  # the address of a socket is short
    held.bind(path.name)
    os.chdir(here)
    held.close()  # its name stays


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _linked_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _kernel(path: Path) -> None:
    path.symlink_to("/proc/self/environ")


KINDS: dict[str, tuple[Maker, str]] = {
    "a pipe": (_pipe, "a pipe"),
    "a socket": (_socket, "a socket"),
    "a link to /dev/zero": (_endless, "a device"),
    "a link to a pipe": (_linked_pipe, "a pipe"),
    "a link to a file of the kernel": (_kernel, "a file of the kernel"),
    "a link to stdin": (lambda path: path.symlink_to("/dev/stdin"), "a pipe"),
    "a folder": (lambda path: path.mkdir(), "a folder"),
}


@pytest.fixture
def shop(project: Path) -> Path:
    texts = {"ask": "什么？", "shown": "哪种？<image>", "reply": "{{ label }}"}
    for name, text in texts.items():
        (project / "templates" / f"{name}.j2").write_text(text, encoding="utf-8")
    rows = []
    for number in range(2):
        Image.new("RGB", (64, 64 + number), (number * 50, 9, 9)).save(project / f"{number}.png")
        rows.append({"id": f"r{number}", "images": [f"{number}.png"], "label": "a"})
    (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (project / "labels.yaml").write_text("labels: [a, b]")
    write_recipe(project)
    return project


def write_recipe(project: Path, reader: str = JSONL, labels: str = "../labels.yaml") -> None:
    recipe = RECIPE.format(reader=reader, labels=labels)
    (project / "recipes" / "shop.yaml").write_text(recipe)


def datakit(project: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that is held to PATIENCE_S seconds, its standard input an open pipe that says nothing."""
    reading, writing = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-m", "datakit.cli", *args],
            cwd=project,
            env={**os.environ, **environment},
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    finally:
        os.close(reading)
        os.close(writing)


def swap(path: Path, kind: str) -> str:
    """Puts something special in a file's place; the words for it."""
    path.unlink(missing_ok=True)
    maker, words = KINDS[kind]
    maker(path)
    return words


def told(result: subprocess.CompletedProcess[str], path: Path, words: str) -> None:
    assert result.returncode in (2, 5), result
    assert "Traceback" not in result.stderr
    assert path.name in result.stderr, result.stderr
    assert words in result.stderr or "folder" in result.stderr, result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_no_regular_file_is_rejected_and_the_others_stay(shop: Path, kind: str) -> None:
    words = swap(shop / "0.png", kind)
    result = datakit(shop, "build", "recipes/shop.yaml")
    assert "Traceback" not in result.stderr
    rejects = [json.loads(line) for line in (shop / "build/shop/rejects.jsonl").read_text().splitlines()]
    assert [(reject["id"], reject["reason"]) for reject in rejects] == [
        ("r0", "image_path_is_folder" if kind == "a folder" else "image_unreadable")
    ]
    assert words in rejects[0]["detail"] and "0.png" in rejects[0]["detail"]
    assert len(json.loads((shop / "build/shop/shop.json").read_text())) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["rows.jsonl", "labels.yaml", "recipes/shop.yaml", "templates/ask.j2"])
def test_no_file_of_a_recipe_holds_a_build_up(shop: Path, kind: str, name: str) -> None:
    words = swap(shop / name, kind)
    if name == "templates/ask.j2" and kind == "a folder":
        words = "ask.j2"
    told(datakit(shop, "build", "recipes/shop.yaml"), shop / name, words)


SOURCES = {
    "read.csv: {path: ../rows.x}": "rows.x",
    "read.json: {path: ../rows.x}": "rows.x",
    "read.jsonl: {path: '../*.x'}": "rows.x",
    "read.parquet: {path: ../rows.x}": "rows.x",
    "read.alpaca: {path: ../rows.x}": "rows.x",
    "read.hub: {path: ../set}": "set/data/train.parquet",
    "read.llamafactory: {path: ../set, data_set: shop}": "set/dataset_info.json",
    "read.build: {path: ../set}": "set/records.parquet",
}


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket"])
@pytest.mark.parametrize("reader", SOURCES)
def test_no_source_holds_a_build_up(shop: Path, reader: str, kind: str) -> None:
    write_recipe(shop, reader)
    path = shop / SOURCES[reader]
    (shop / "set" / "data").mkdir(parents=True)
    (shop / "set" / "README.md").write_text("a set")
    if path.name == "records.parquet":
        (shop / "set" / "manifest.json").write_text("{}")
    swap(path, kind)
    result = datakit(shop, "build", "recipes/shop.yaml")
    assert result.returncode == 2, result
    assert "Traceback" not in result.stderr and "set" in result.stderr or "rows.x" in result.stderr


def test_pipes_among_the_pictures_of_a_folder_are_rejects(shop: Path) -> None:
    pictures = shop / "pictures" / "a"
    pictures.mkdir(parents=True)
    (shop / "0.png").rename(pictures / "0.png")
    os.mkfifo(pictures / "1.png")
    os.mkfifo(pictures / "notes.json")
    write_recipe(shop, "read.image_folder: {path: ../pictures}")
    result = datakit(shop, "build", "recipes/shop.yaml")
    assert "Traceback" not in result.stderr
    rejects = [json.loads(line) for line in (shop / "build/shop/rejects.jsonl").read_text().splitlines()]
    assert {reject["reason"] for reject in rejects} == {"image_unreadable", "not_a_picture"}


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket", "a link to stdin"])
@pytest.mark.parametrize(
    "command",
    [
        ("check", "X"),
        ("check", "build/shop", "--train-yaml", "X"),
        ("check", "build/shop", "--records", "X"),
        ("evaluate", "build/shop", "--predictions", "X"),
        ("evaluate", "build/shop", "--predictions", "p.jsonl", "--out", "X"),
        ("predict", "build/shop", "--split", "X"),
        ("predict", "build/shop", "--split", "train", "--out", "X"),
        ("diff", "build/shop", "X"),
        ("verdict", "X"),
        ("why", "X", "r0"),
        ("bundle", "build/shop", "--out", "X"),
        ("plan", "X"),
        ("schema", "--output", "X"),
        ("cache", "ls", "--project", "X"),
        ("serve", "build/shop", "--model", "X"),
        ("train", "X", "--dry-run"),
    ],
    ids=" ".join,
)
def test_no_path_of_a_command_holds_it_up(shop: Path, command: tuple[str, ...], kind: str) -> None:
    assert datakit(shop, "build", "recipes/shop.yaml").returncode == 0
    (shop / "p.jsonl").write_text('{"id": "r0", "predicted": "a", "text": "a"}\n')
    place = shop / "X.tar.yaml.jsonl"
    swap(place, kind)
    result = datakit(shop, *(place.name if word == "X" else word for word in command))
    assert result.returncode != 0, result
    assert "Traceback" not in result.stderr, result.stderr


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket", "a folder"])
def test_certificates_that_are_no_regular_file_are_told(shop: Path, kind: str) -> None:
    words = swap(shop / "ca.pem", kind)
    recipe = shop / "recipes" / "shop.yaml"
    for url in ("http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1"):
        recipe.write_text(
            recipe.read_text().replace("{provider: offline}", f'{{provider: openai, base_url: "{url}"}}')
        )
        result = datakit(
            shop, "build", "recipes/shop.yaml", SSL_CERT_FILE=str(shop / "ca.pem"), OPENAI_API_KEY="sk-1"
        )
        told(result, shop / "ca.pem", words)


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket"])
@pytest.mark.parametrize("name", ["", "results.sqlite", "results.sqlite-wal"])
def test_a_store_that_is_no_regular_file_is_told(shop: Path, kind: str, name: str) -> None:
    if name:
        (shop / "store").mkdir()
    swap(shop / "store" / name if name else shop / "store", kind)
    result = datakit(shop, "build", "recipes/shop.yaml", DATAKIT_STORE=str(shop / "store"))
    assert "Traceback" not in result.stderr
    assert result.returncode == 0 or "store" in result.stderr, result


def test_a_pipe_that_takes_a_files_place_after_it_was_looked_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datakit.core import regular_files

    path = tmp_path / "rows.jsonl"
    path.write_text("{}")
    look = regular_files.check_regular

    def look_and_swap(at: str) -> os.stat_result:
        status = look(at)
        path.unlink()
        os.mkfifo(path)
        return status

    monkeypatch.setattr(regular_files, "check_regular", look_and_swap)
    with pytest.raises(regular_files.NotRegular, match="a pipe"):
        regular_files.read_regular(str(path))


def test_the_refusal_of_a_file_comes_out_of_a_worker_process_as_it_is(tmp_path: Path) -> None:
    import pickle

    from datakit.core.regular_files import NotRegular

    error = pickle.loads(pickle.dumps(NotRegular("a pipe", tmp_path / "x")))
    assert isinstance(error, NotRegular) and error.filename == str(tmp_path / "x")
    assert "a pipe" in str(error.strerror)
