"""What prompts share stands once, and each prompt can be put together from its pieces to the letter."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from datakit.cards.prompt_parts import LEAST_CHARS, Constant, constant_of

LONG = "请判断这张图片属于下列哪一个类别。" * 5
LINES = st.sampled_from(
    ["", "a", LONG, LONG + "1", LONG + "2", " ", "[constant part of these prompts, above]"]
)
TEXTS = st.lists(st.lists(LINES, max_size=9).map("\n".join), min_size=1, max_size=4)


def joined(constant: Constant, text: str) -> str:
    """The text that the pieces stand for."""
    pieces, runs, whole = constant.parts(text), iter(constant.runs), ""
    for at, piece in enumerate(pieces):
        whole += piece.text or next(runs)
        rest = pieces[at + 1 :]
        if not piece.text and rest and not (len(rest) == 1 and set(rest[0].text) == {"\n"}):
            whole += "\n"
    return whole


@given(TEXTS)
@example([LONG, LONG + "\n\n"])
def test_the_pieces_of_a_prompt_are_the_prompt(texts: list[str]) -> None:
    constant = constant_of(texts)
    assert [joined(constant, text) for text in texts] == texts
    assert all(len(run) >= LEAST_CHARS for run in constant.runs)


def test_runs_of_lines_that_all_share_are_folded_and_named() -> None:
    texts = [f"{LONG}\n{{\n}}\n图中文字：{word}\n{LONG}。" for word in ("一", "二\n三")]
    constant = constant_of(texts)
    assert constant.runs == (f"{LONG}\n{{\n}}", f"{LONG}。")
    assert [part.text for part in constant.parts(texts[1])] == ["", "图中文字：二\n三\n", ""]
    assert (
        constant.folded[0].summary == f"constant part 1 of these prompts ({len(constant.runs[0])} characters)"
    )


def test_a_single_prompt_and_prompts_without_common_lines_have_no_constant_part() -> None:
    assert constant_of([LONG]).runs == constant_of([LONG, LONG]).runs == constant_of(["a", "b"]).runs == ()
    [piece] = constant_of(["a", "b"]).parts("a")
    assert (piece.text, piece.summary) == ("a", "")
