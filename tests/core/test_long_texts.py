"""Long texts of strangers take time in proportion to their length: a picture in an error, a field of noise.

Each would take minutes to hours with a pattern that goes over the rest of the text at every place.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys

import polars as pl
import pytest

from datakit.core.credentials import Mask, without_user
from datakit.core.visible import SEQUENCES, without_controls
from datakit.llm._faults import message_of

KEY = "sk-loopback-5f1e77c0"
PATIENCE_S = 120
TEXTS = {
    "a picture in base64": base64.b64encode(bytes(range(256)) * 1200).decode(),
    "words with dashes": "a-" * 200_000,
    "words with dots": "a.a-" * 100_000,
    "beginnings of titles": "\x9d\x9b" * 200_000,
    "comments that never end": "<html>" + "<!--" * 100_000,
    "scripts that never end": "<html>" + "<script>" * 50_000,
    "signs that begin tags": "<html>" + "<" * 400_000,
}
WORK = """
import sys
from tests.core.test_long_texts import TEXTS, gone_over
gone_over(TEXTS[sys.argv[1]])
"""


def gone_over(text: str) -> None:
    """What every text from outside goes through."""
    without_user(Mask([KEY])(text))
    without_controls(text)
    pl.Series([text]).str.replace_all(SEQUENCES, "")
    message_of(text.encode())


@pytest.mark.fault(
    "A server repeats a whole picture in its error, or sends endless beginnings of tags or titles",
    "It is gone over once; no call holds the others up",
    kind="answers",
)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_long_text_is_gone_over_once(kind: str) -> None:
    subprocess.run([sys.executable, "-c", WORK, kind], check=True, timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no sk-lo***77c0 here", "no *** here"),
        ("a***b sk-loop…7c0", "a***b ***"),
        ("a...b...c", "a...b...c"),
        ("see http://user:word-9@host/x", "see http://host/x"),
        ("-user:word-9@host", "host"),
        ("a.b-c:word@d.e and f:g", "d.e and f:g"),
    ],
)
def test_elided_keys_and_passwords_are_hidden(text: str, shown: str) -> None:
    assert without_user(Mask([KEY])(text)) == shown


def test_titles_are_taken_out_and_what_follows_a_beginning_stays() -> None:
    assert without_controls("a\x1b]0;t\x07b\x9d0;t\x9cc") == "abc"
    assert without_controls("a\x9db\x9dc\x9cd") == "abd"


def test_of_a_page_with_an_open_script_the_words_before_it_are_told() -> None:
    assert message_of(b"<html><h1>502 Bad Gateway</h1><script>var a = 1") == "502 Bad Gateway"
    assert message_of(b"<html><p>a < b</p></html>") == "a < b"


@pytest.mark.parametrize("sign", [" ", "，", "*", "因此 ", "the "])
def test_an_answer_that_went_astray_is_gone_over_once(sign: str) -> None:
    work = f"from tests.core.test_long_texts import read_astray; read_astray({sign!r} * 50_000)"
    subprocess.run([sys.executable, "-c", work], check=True, timeout=PATIENCE_S)


def read_astray(signs: str) -> None:
    """What reads an answer with so many signs between its values, or before a heading."""
    from datakit.core.statements import announcements
    from datakit.llm.answer_schema import AnswerSchema
    from datakit.llm.json_answer import read

    drafts = f'{{"reason": "一"}}{signs}z{{"reason": "二"}}{signs}z'
    assert read(drafts, AnswerSchema.line("reason")) is None
    announcements(re.compile("答案："), f"{signs}z答案：甲 {signs}答案：乙")


def test_an_answer_of_thousands_of_numbers_is_gone_over_once() -> None:
    work = "from datakit.core.contract_values import _read_number; print(_read_number('1. ' * 100_000)[0])"
    result = subprocess.run([sys.executable, "-c", work], timeout=PATIENCE_S, capture_output=True, text=True)
    assert result.stdout.strip() == "1", result.stderr
