"""Tables: plain lines for pipes, wrapped at a terminal's width, with words and commands whole in both."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

PATH = "build/ecom_v3/images/0123456789abcdef0123456789abcdef.png"
TEXT = "a text of many words that goes on and on until the line of the terminal has no more room for it"
FLAGS = """--limit-mm-per-prompt '{"image": 3}' --max-model-len 4096"""
SHOW = f"""
from datakit.cli.tables import print_pairs, print_table
rows = [("手机界面 [bold]界面[/bold]", "1,234", {TEXT!r}, {PATH!r}), ("b", "5", ":smile:", "x")]
print_table(("class, weakest first", "records", "", "such as"), rows, right=(1,))
print_table(("none", "at all"), [])
print_pairs([({FLAGS!r}, {TEXT!r}), ("--x", "short")])
"""


def on_a_terminal(columns: int, code: str = SHOW, **environment: str) -> str:
    """What the code prints on a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "TERM")}
    environ = {**kept, "TERM": "xterm-256color", **environment}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env=environ)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux says the end of a terminal so
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n")


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_pipe_gets_plain_whole_lines_whatever_the_width() -> None:
    environ = {**os.environ, "COLUMNS": "40", "TERM": "xterm-256color"}
    shown = subprocess.run([sys.executable, "-c", SHOW], check=True, capture_output=True, env=environ).stdout
    assert shown.decode().splitlines() == [
        f"class, weakest first        records  {' ' * len(TEXT)}  such as",
        f"手机界面 [bold]界面[/bold]    1,234  {TEXT}  {PATH}",
        f"b                                 5  {':smile:'.ljust(len(TEXT))}  x",
        "none  at all",
        f"  {FLAGS}  {TEXT}",
        f"  {'--x'.ljust(len(FLAGS))}  short",
    ]


@pytest.mark.parametrize("columns", [10, 40, 80, 130, 200])
def test_nothing_is_lost_on_a_terminal_and_words_are_whole(columns: int) -> None:
    shown = bare(on_a_terminal(columns))
    assert "…" not in shown
    assert PATH in shown
    assert FLAGS in shown
    assert {word for line in shown.splitlines() for word in line.split()} == {
        *f"class, weakest first records such as 手机界面 [bold]界面[/bold] 1,234 {TEXT} {PATH}".split(),
        *f"b 5 :smile: x none at all {FLAGS} --x short".split(),
    }


def test_a_wide_cell_wraps_at_the_width_of_the_terminal() -> None:
    shown = bare(on_a_terminal(130))
    assert TEXT not in shown
    assert max(len(line) for line in shown.splitlines()) <= 130
    assert TEXT in bare(on_a_terminal(220))


def test_heads_are_bold_on_a_terminal_that_allows_it() -> None:
    assert "\x1b[1m" in on_a_terminal(80)
    assert "\x1b" not in on_a_terminal(80, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(80, TERM="dumb")


CHECK = """
from datakit.checking.tally import Tally
from datakit.cli.check import _print_tallies
faults = dict(dropped=1_000, stops=20, crashes=30, cut=4_000, uncounted=5)
tokens = dict(text_tokens=987_654_321, image_tokens=123_456_789, longest=4_321)
train = Tally("ecom_v3_train", "train", 1_234_567, 1_000_000, **faults, **tokens)
_print_tallies([train, Tally("ecom_v3_val", "eval", rows=5)])
"""


def test_a_check_with_every_fault_is_whole_on_80_columns_and_one_table_in_a_pipe() -> None:
    shown = bare(on_a_terminal(80, CHECK)).splitlines()
    assert max(map(len, shown)) <= 80
    assert shown == [
        "data set       part        rows       kept  dropped  stops  crashes    cut",
        "ecom_v3_train  train  1,234,567  1,000,000    1,000     20       30  4,000",
        "ecom_v3_val    eval           5          ·        ·      ·        ·      ·",
        "data set       uncounted  text tokens  image tokens  longest",
        "ecom_v3_train          5  987,654,321   123,456,789    4,321",
        "ecom_v3_val            ·            ·             ·        ·",
    ]
    assert len(bare(on_a_terminal(130, CHECK)).splitlines()) == 3
    piped = subprocess.run([sys.executable, "-c", CHECK], check=True, capture_output=True, text=True).stdout
    assert len(piped.splitlines()) == 3
