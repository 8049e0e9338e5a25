"""Pipes, sockets, devices and files of the kernel in the place of every file that is named somewhere."""

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

PATIENCE_S = 60
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
    target = path.with_name(f"{path.name}-elsewhere")
    os.mkfifo(target)
    path.symlink_to(target)


def _kernel(path: Path) -> None:
    path.symlink_to("/proc/self/environ")


KINDS: dict[str, tuple[Maker, str]] = {
    "a pipe": (_pipe, "a pipe"),
    "a socket": (_socket, "a socket"),
    "a link to /dev/zero": (_endless, "a device"),
    "a link to a pipe": (_linked_pipe, "a pipe"),
    "a link to a file of the kernel": (_kernel, "a file of the kernel"),
    "a link to stdin": (lambda path: path.symlink_to("/dev/stdin"), ", not a regular file"),
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


DRIVER = """
import faulthandler, json, pathlib, shutil, sys
from datakit.cli import run
for line in json.loads(sys.argv[1]):
    faulthandler.dump_traceback_later(float(sys.argv[2]), exit=True)  # nothing else ends a hanging open
    if line["move"]:
        source, target = map(pathlib.Path, line["move"])
        target.rename(f"{target}.was") if line["keep"] else target.unlink(missing_ok=True)
        source.rename(target)
    code = run(line["args"])
    print(f"\\0{code}", file=sys.stderr, flush=True)
    if line["move"]:
        target.is_symlink() or target.exists() and target.rename(f"{source}.done")
        target.unlink(missing_ok=True)
        if line["keep"]:
            pathlib.Path(f"{target}.was").rename(target)
"""


def datakit_each(project: Path, lines: list[dict[str, object]], **environment: str) -> list[tuple[int, str]]:
    """Exit code and stderr of some commands, each held to PATIENCE_S seconds; standard input says nothing."""
    reading, writing = os.pipe()
    try:
        result = subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps(lines), str(PATIENCE_S)],
            cwd=project,
            env={**os.environ, **environment},
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * len(lines),
        )
    finally:
        os.close(reading)
        os.close(writing)
    parts = result.stderr.split("\0")
    texts = [parts[0], *(part.partition("\n")[2] for part in parts[1:])]
    codes = [int(part.partition("\n")[0]) for part in parts[1:]]
    assert len(codes) == len(lines), result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    return list(zip(codes, texts, strict=False))


def datakit(project: Path, *args: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of one command."""
    return datakit_each(project, [{"args": args, "move": None, "keep": False}], **environment)[0]


def planted(project: Path, kind: str, number: int) -> str:
    """Something special, ready to be moved into a file's place."""
    place = project / f"special{number}"
    KINDS[kind][0](place)
    return str(place)


def rejects_of(project: Path) -> list[dict[str, str]]:
    lines = (project / "build/shop/rejects.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.fault(
    "a picture's path is a pipe, a socket, a device or a file of the kernel",
    "the record is rejected by name before anything is opened",
    kind="bounds",
)
def test_pictures_that_are_no_regular_files_are_rejected_and_the_others_stay(shop: Path) -> None:
    write_recipe(shop, "read.jsonl: {path: ../rows.jsonl, image_root: /, image_base: ..}")
    rows = [{"id": "fine", "images": ["0.png"], "label": "a"}]
    for number, kind in enumerate(KINDS):
        (shop / f"{number}").mkdir()
        rows.append({"id": kind, "images": [f"{number}/x.png"], "label": "a"})
        KINDS[kind][0](shop / f"{number}" / "x.png")
    (shop / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert datakit(shop, "build", "recipes/shop.yaml")[0] == 0
    details = {reject["id"]: reject for reject in rejects_of(shop)}
    assert details.keys() == KINDS.keys()
    for kind, (_, words) in KINDS.items():
        reason = "image_path_is_folder" if kind == "a folder" else "image_unreadable"
        assert details[kind]["reason"] == reason
        assert words in details[kind]["detail"]
        assert "x.png" in details[kind]["detail"]
    assert len(json.loads((shop / "build/shop/shop_train.json").read_text())) == 1


@pytest.mark.fault(
    "a recipe, label file, template or source is a pipe, a socket or a device",
    "exit 2 with the path; nothing hangs",
    kind="bounds",
)
@pytest.mark.parametrize("name", ["rows.jsonl", "labels.yaml", "recipes/shop.yaml", "templates/ask.j2"])
def test_no_file_of_a_recipe_holds_a_build_up(shop: Path, name: str) -> None:
    lines = [
        {
            "args": ["build", "recipes/shop.yaml"],
            "move": [planted(shop, kind, at), str(shop / name)],
            "keep": 1,
        }
        for at, kind in enumerate(KINDS)
    ]
    for (code, text), kind in zip(datakit_each(shop, lines), KINDS, strict=True):
        assert code == 2, (kind, text)
        # The path of a label file is told as its links lead.
        assert Path(name).name in text or name == "labels.yaml", (kind, text)
        assert KINDS[kind][1] in text or "folder" in kind or name == "labels.yaml", (kind, text)


SOURCES = {
    "read.csv: {path: ../rows.x}": "rows.x",
    "read.json: {path: ../rows.x}": "rows.x",
    "read.jsonl: {path: '../*.x'}": "rows.x",
    "read.parquet: {path: ../rows.x}": "rows.x",
    "read.alpaca: {path: ../rows.x}": "rows.x",
    "read.hub: {path: ../set}": "set/data/train.parquet",
    "read.llamafactory: {path: ../set, dataset: shop}": "set/dataset_info.json",
    "read.build: {path: ../set}": "set/records.parquet",
}


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket"])
def test_no_source_holds_a_build_up(shop: Path, kind: str) -> None:
    (shop / "set" / "data").mkdir(parents=True)
    (shop / "set" / "README.md").write_text("a set")
    (shop / "set" / "manifest.json").write_text("{}")
    lines = []
    for at, (reader, name) in enumerate(SOURCES.items()):
        write_recipe(shop, reader)
        (shop / "recipes" / "shop.yaml").rename(shop / "recipes" / f"{at}.yaml")
        move = [planted(shop, kind, at), str(shop / name)]
        lines.append({"args": ["build", f"recipes/{at}.yaml"], "move": move, "keep": 0})
    for (code, text), reader in zip(datakit_each(shop, lines), SOURCES, strict=True):
        assert code == 2, (reader, text)
        assert "set/" in text or "rows.x" in text, (reader, text)


def test_pipes_among_the_pictures_of_a_folder_are_rejects(shop: Path) -> None:
    pictures = shop / "pictures" / "a"
    pictures.mkdir(parents=True)
    (shop / "0.png").rename(pictures / "0.png")
    os.mkfifo(pictures / "1.png")
    os.mkfifo(pictures / "notes.json")
    write_recipe(shop, "read.image_folder: {path: ../pictures}")
    assert datakit(shop, "build", "recipes/shop.yaml")[0] == 0
    assert {reject["reason"] for reject in rejects_of(shop)} == {"image_unreadable", "not_a_picture"}


COMMANDS = (
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
    ("serve", "build/shop", "--model", "X"),
    ("train", "X", "--dry-run"),
)


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket", "a link to stdin"])
def test_no_path_of_a_command_holds_it_up(shop: Path, kind: str) -> None:
    (shop / "p.jsonl").write_text('{"id": "r0", "predicted": "a", "text": "a"}\n')
    lines: list[dict[str, object]] = [{"args": ["build", "recipes/shop.yaml"], "move": None, "keep": 0}]
    for at, command in enumerate(COMMANDS):
        place = f"X{at}.tar.yaml.jsonl"
        args = [place if word == "X" else word for word in command]
        lines.append({"args": args, "move": [planted(shop, kind, at), str(shop / place)], "keep": 0})
    (code, _), *results = datakit_each(shop, lines)
    assert code == 0
    for (code, text), command in zip(results, COMMANDS, strict=True):
        assert code != 0, (command, text)


@pytest.mark.parametrize("kind", ["a pipe", "a link to /dev/zero", "a socket", "a folder"])
def test_certificates_that_are_no_regular_file_are_told(shop: Path, kind: str) -> None:
    KINDS[kind][0](shop / "ca.pem")
    lines = []
    recipe = (shop / "recipes" / "shop.yaml").read_text()
    for scheme in ("http", "https"):
        endpoint = f'{{provider: openai, base_url: "{scheme}://127.0.0.1:9/v1"}}'
        name = f"recipes/{scheme}.yaml"
        (shop / name).write_text(recipe.replace("{provider: offline}", endpoint))
        lines.append({"args": ["build", name], "move": None, "keep": 0})
    environment = {"SSL_CERT_FILE": str(shop / "ca.pem"), "OPENAI_API_KEY": "sk-1"}
    for code, text in datakit_each(shop, lines, **environment):
        assert code == 5, text
        assert "ca.pem" in text
        assert KINDS[kind][1] in text


@pytest.mark.parametrize("name", ["", "results.sqlite", "results.sqlite-wal"])
def test_a_store_that_is_no_regular_file_is_told(shop: Path, name: str) -> None:
    lines = []
    (shop / "store").mkdir()
    kinds = ["a pipe", "a link to /dev/zero", "a socket"]
    for at, kind in enumerate(kinds):
        target = shop / "store" / name if name else shop / "store"
        lines.append(
            {
                "args": ["build", "recipes/shop.yaml"],
                "move": [planted(shop, kind, at), str(target)],
                "keep": not name,
            }
        )
    for code, text in datakit_each(shop, lines, DATAKIT_STORE=str(shop / "store")):
        assert code == 0 or "store" in text, text


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
    assert isinstance(error, NotRegular)
    assert error.filename == str(tmp_path / "x")
    assert "a pipe" in str(error.strerror)
