"""What the shell completes: commands, builds, recipes, ids, steps and the keys of a recipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import datakit as datakit_package
from datakit.cli import cli
from datakit.library import build

Run = Callable[..., Any]
RECIPE = """\
name: small
steps:
  - read.jsonl: {path: ../data.jsonl}
  - curate.split: {val: 0.2}
  - render.chat: {prompt: ask.j2, answer: answer.j2}
emit: [llamafactory]
run: {max_reject_rate: 0.2}
"""


@pytest.fixture
def small(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one recipe and its build."""
    rows = "".join(f'{{"id": "r{at}", "text": "question {at}", "label": "a"}}\n' for at in range(12))
    (project / "data.jsonl").write_text(rows + '{"id": "odd\\u001b", "text": "t", "label": "a"}\n')
    (project / "recipes" / "small.yaml").write_text(RECIPE)
    (project / "templates" / "ask.j2").write_text("{{ text }}")
    (project / "templates" / "answer.j2").write_text("{{ label }}")
    monkeypatch.chdir(project)
    build("recipes/small.yaml", card=False)
    return project


def completed(words: str) -> list[str]:
    """What is offered for the last word."""
    from click.shell_completion import ShellComplete

    *before, last = words.split(" ")
    items = ShellComplete(cli, {}, "datakit", "_DATAKIT_COMPLETE").get_completions(before[1:], last)
    return [item.value for item in items]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("datakit dif", ["diff"]),
        ("datakit plan ", ["recipes/small.yaml"]),
        ("datakit diff b", ["build/small"]),
        ("datakit why ", ["build/small", "recipes/small.yaml"]),
        ("datakit why build/small r1", ["r1", "r10", "r11"]),
        ("datakit why recipes/small.yaml r1", ["r1", "r10", "r11"]),
        ("datakit why build/small odd", []),
        ("datakit transforms guard.la", ["guard.label"]),
        ("datakit cache forget --step annotate.o", ["annotate.ocr"]),
        ("datakit build recipes/small.yaml --set curate.split.v", ["curate.split.val="]),
        ("datakit plan --set run.conc", ["run.concurrency="]),
        ("datakit plan --set emit.llamafactory.im", ["emit.llamafactory.images="]),
        ("datakit plan --set annotate.ocr.", []),
        ("datakit plan --set run.concurrency=", []),
        ("datakit verdict build/small --kind label_c", ["label_conflict"]),
        ("datakit diff build/small build/small --fail-on labels>1%,ad", ["labels>1%,added>"]),
    ],
)
def test_what_is_there_is_offered(small: Path, words: str, offered: list[str]) -> None:
    found = completed(words)
    assert offered == [value for value in found if value in offered]
    assert len(found) <= len(offered) + 2


def test_where_nothing_is_to_be_read_nothing_is_said(small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (small / "build" / "small" / "records.parquet").write_bytes(b"damaged")
    (small / "recipes" / "small.yaml").write_text("steps: [")
    assert completed("datakit why build/small r") == []
    assert completed("datakit plan --set run.") == []
    assert completed("datakit why nowhere r") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_one_that_its_shell_reads(datakit: Run, tmp_path: Path, shell: str) -> None:
    done = datakit("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_DATAKIT_COMPLETE" in done.out
    if shutil.which(shell):
        (tmp_path / "script").write_text(done.out)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes_a_key_and_waits_behind_its_sign(datakit: Run, small: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(datakit("completion", "bash").out)
    assert "compopt -o nospace" in script.read_text()
    starter = tmp_path / "datakit"
    starter.write_text(f'#!/bin/bash\nexec {sys.executable} -m datakit.cli "$@"\n')
    starter.chmod(0o755)
    asked = (
        f"source {script}; COMP_WORDS=({starter} plan --set run.conc); COMP_CWORD=3; "
        f"_datakit_completion {starter} 2>/dev/null; echo ${{COMPREPLY[@]}}"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(datakit_package.__file__).parent.parent)}
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "run.concurrency="


HOSTILE_IDS = [
    "$(touch run)",
    "`touch run`",
    "my id; touch run",
    'it\'s "so" \\',
    "*",
    "[x]",
    "中文 名字",
    "图/1.jpg",
    "a,b",
    "k:v",
]


@pytest.mark.fault(
    "an id that the shell completes holds blanks, quotes, or a command in `$(…)`",
    "bash gets it quoted, in the quotes that are open: one word, which is the id and is not run",
    kind="scripts",
)
@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize("opened", ["", "'", '"'])
def test_bash_gets_any_id_as_one_word_that_is_not_run(datakit: Run, small: Path, opened: str) -> None:
    rows = "".join(
        json.dumps({"id": id_, "text": f"question {id_}", "label": "a"}) + "\n" for id_ in HOSTILE_IDS
    )
    (small / "data.jsonl").write_text(rows)
    build("recipes/small.yaml", card=False)
    (small / "script").write_text(datakit("completion", "bash").out)
    starter = small / "datakit"
    starter.write_text(f'#!/bin/bash\nexec {sys.executable} -m datakit.cli "$@"\n')
    starter.chmod(0o755)
    asked = (
        'source ./script; COMP_WORDS=(datakit why build/small "$1"); COMP_CWORD=3; '
        "_datakit_completion ./datakit; "
        'for word in "${COMPREPLY[@]}"; do eval "printf \'%s\\n\' $1$word$1"; done'
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(datakit_package.__file__).parent.parent),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["bash", "--norc", "-c", asked, "bash", opened],
        capture_output=True,
        text=True,
        env=environment,
        cwd=small,
    )
    assert done.stdout.splitlines() == HOSTILE_IDS, done.stderr
    assert not (small / "run").exists()


@pytest.fixture
def hostile(small: Path, datakit: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with ids that a shell might run, and the command on the path."""
    rows = "".join(json.dumps({"id": id_, "text": f"{id_}?", "label": "a"}) + "\n" for id_ in HOSTILE_IDS)
    (small / "data.jsonl").write_text(rows)
    build("recipes/small.yaml", card=False)
    (small / "bin").mkdir()
    starter = small / "bin" / "datakit"
    starter.write_text(f'#!/bin/bash\nexec {sys.executable} -m datakit.cli "$@"\n')
    starter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{small / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(datakit_package.__file__).parent.parent))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for shell in ("zsh", "fish"):
        (small / shell).write_text(datakit("completion", shell).out)
    return small


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish_offers_whole_values_that_are_not_run(hostile: Path) -> None:
    def offered(line: str) -> list[str]:
        asked = ["fish", "--no-config", "-c", "source ./fish; complete -C $argv[1]", line]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()

    assert sorted(offered("datakit why build/small ")) == sorted(HOSTILE_IDS)
    assert offered("datakit plan --set run.conc") == ["run.concurrency="]
    assert offered("datakit diff build/small build/small --fail-on 'labels>1%,ad") == ["labels>1%,added>"]
    assert offered("datakit dif")[0].startswith("diff\tSay what differs")
    assert not (hostile / "run").exists()


def typed_in_zsh(line: str) -> list[str]:
    """The words of a line that was typed in a zsh, with its tab stops, when it is run."""
    import pty

    child, terminal = pty.fork()
    if not child:
        os.environ |= {"TERM": "dumb", "COLUMNS": "200"}
        os.execvp("zsh", ["zsh", "-f", "-i"])
    setting = (
        "unsetopt prompt_cr prompt_sp; autoload -Uz compinit; compinit -u -D; source ./zsh; "
        "show() { print -rl -- '' 'BE'GIN \"$@\" 'EN'D; }; echo READ''Y\n"
    )
    said = b""

    def wait_for(what: bytes) -> None:
        nonlocal said
        while what not in said:
            said += os.read(terminal, 4096)

    os.write(terminal, setting.encode())
    wait_for(b"READY\r\n")
    os.write(terminal, f"{line}\x01show \n".encode())  # to the beginning of the line, and before it `show`
    wait_for(b"END\r\n")
    os.close(terminal)
    os.waitpid(child, 0)
    return said.decode().rpartition("BEGIN\r\n")[2].partition("\r\nEND\r\n")[0].split("\r\n")


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
@pytest.mark.parametrize(
    ("typed", "last"),
    [
        ("why build/small my\t", "my id; touch run"),
        ("why build/small 'my\t", "my id; touch run"),
        ("why build/small \\$\t", "$(touch run)"),
        ("why build/small a\t", "a,b"),
        ("why build/small k\t", "k:v"),
        ("plan --set run.conc\t4", "run.concurrency=4"),
    ],
)
def test_zsh_completes_any_id_as_one_word_and_a_key_waits_for_its_value(
    hostile: Path, typed: str, last: str
) -> None:
    assert typed_in_zsh(f"datakit {typed}")[-1] == last
    assert not (hostile / "run").exists()


def test_other_shells_are_refused(datakit: Run) -> None:
    done = datakit("completion", "tcsh")
    assert (done.code, "'bash', 'zsh', 'fish'" in done.err) == (2, True)
