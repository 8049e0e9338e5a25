"""Which records are worth a label: by doubt and likeness, never two of a group, the same every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from datakit.proxy import ProxyData, worth
from datakit.proxy.spaces import TextSpace, line_characters
from datakit.proxy.two_voices import together, two_voices
from datakit.proxy.worth import Beliefs, Pick, most_worth

PAGES = ("物流查询\n包裹派送中\n快递员电话", "退款申请\n退款原因\n退款金额", "商品评价\n晒图追评\n好评率")


def data(texts: Sequence[str], groups: Sequence[str] | None = None, pictures: bool = False) -> ProxyData:
    looks = None
    if pictures:
        looks = np.random.default_rng(0).random((len(texts), 6)).astype(np.float32)
    return ProxyData(list(texts), looks, groups or [f"g{at}{text}" for at, text in enumerate(texts)])


NONE = data([])


def doubts(
    wrong: Sequence[float], known: Sequence[int] = (), classes: Sequence[int] | None = None
) -> Beliefs:
    """Of two classes; the others are of class 0, or of those named, but for the doubt."""
    mine = np.array(classes if classes is not None else [0] * len(wrong))
    share = np.asarray(wrong)[:, None]
    is_mine = mine[:, None] == np.arange(2)
    return Beliefs(np.eye(2)[list(known)], np.where(is_mine, 1 - share, share))


def rows(picks: Sequence[Pick]) -> list[int]:
    return [pick.row for pick in picks]


def test_one_of_every_kind_comes_before_a_second_one() -> None:
    texts = [f"{PAGES[at % 3]}\n{chr(0x4E00 + 31 * at)}" for at in range(12)]
    picks = most_worth(NONE, data(texts), Beliefs.none(0, 12), 3, 7)
    assert {row % 3 for row in rows(picks)} == {0, 1, 2}
    assert all(pick.alike == 3 for pick in picks)


def test_what_resembles_a_labelled_record_is_worth_little() -> None:
    others = data([f"{PAGES[0]}\n甲", f"{PAGES[0]}\n乙", f"{PAGES[1]}\n丙"])
    picks = most_worth(data([f"{PAGES[0]}\n丁"]), others, Beliefs.none(1, 3), 3, 7)
    assert rows(picks)[0] == 2
    assert picks[0].likeness < 0.2 < 0.6 < picks[1].likeness


def test_of_two_kinds_alike_in_size_the_doubtful_one_comes_first() -> None:
    texts = [f"{PAGES[at % 2]}\n{chr(0x4E00 + 31 * at)}" for at in range(10)]
    assert rows(most_worth(NONE, data(texts), doubts([0.1, 0.4] * 5), 1, 7))[0] % 2 == 1


def test_label_says_little_about_what_is_like_it_and_taken_to_be_of_another_class() -> None:
    others = data([f"{PAGES[0]}\n甲", f"{PAGES[0]}\n乙", f"{PAGES[0]}\n丙"])
    said = doubts([0.2] * 3, known=[0], classes=[0, 1, 0])
    picks = most_worth(data([f"{PAGES[0]}\n丁"]), others, said, 3, 7)
    assert rows(picks)[0] == 1
    assert picks[0].worth > 1.5 * picks[1].worth
    assert picks[0].likeness == pytest.approx(picks[1].likeness, abs=0.1)  # told as it looks


def test_probabilities_that_are_flat_leave_the_choice_to_likeness() -> None:
    texts = [f"{PAGES[at % 3]}\n{chr(0x4E00 + 31 * at)}" for at in range(30)]
    flat = Beliefs(np.zeros((0, 4)), np.full((30, 4), 0.25))
    assert rows(most_worth(NONE, data(texts), flat, 9, 7)) == rows(
        most_worth(NONE, data(texts), Beliefs.none(0, 30), 9, 7)
    )


def test_nothing_is_so_sure_that_it_could_not_be_wrong() -> None:
    assert doubts([0.0, 0.3]).wrong == pytest.approx([0.02, 0.3])
    assert Beliefs.none(3, 2).wrong == pytest.approx([1.0, 1.0])


def test_whole_page_comes_before_its_parts() -> None:
    lines = PAGES[0].split("\n")
    texts = [*lines, PAGES[0], *PAGES[1].split("\n")]
    assert rows(most_worth(NONE, data(texts), Beliefs.none(0, len(texts)), 1, 7)) == [3]


def test_no_two_of_a_group_and_none_of_a_labelled_group() -> None:
    texts = [f"{page}\n{sign}" for page in PAGES for sign in "甲乙"]
    groups = ["a", "a", "b", "b", "known", "known"]
    picks = most_worth(data(["别的"], ["known"]), data(texts, groups), Beliefs.none(1, 6), 6, 7)
    assert len(picks) == 2
    assert {groups[row] for row in rows(picks)} == {"a", "b"}


def test_lazy_choice_is_the_plain_greedy_one() -> None:
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list(PAGES[at % 3].replace("\n", "")), 9)) for at in range(60)]
    known, others = data(texts[:6]), data(texts[6:])
    said = Beliefs(np.eye(3)[[0, 1, 2] * 2], rng.dirichlet(np.ones(3), 54))
    wrong = 1 - said.others.max(axis=1)
    points = worth._points(known, others, np.concatenate([said.known, said.others]), 7)
    labelled, mine = points.part(0, 6), points.part(6, 60)
    like = mine.likeness(mine) * mine.agreement(mine)
    cover = (labelled.likeness(mine) * labelled.agreement(mine)).max(axis=0)
    expected: list[int] = []
    for _ in range(20):
        values = np.maximum(like - cover, 0.0) @ wrong.astype(np.float32)
        values[expected] = -1
        expected.append(int(values.argmax()))
        cover = np.maximum(cover, like[expected[-1]])
        wrong[expected[-1]] = 0.0
    picks = most_worth(known, others, said, 20, 7)
    assert rows(picks) == expected
    assert [pick.worth for pick in picks] == sorted((pick.worth for pick in picks), reverse=True)


def test_more_than_can_be_compared_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "MOST", 10)
    texts = [f"{PAGES[at % 3]}\n{chr(0x4E00 + 31 * at)}" for at in range(40)]
    first, again, other = (
        rows(most_worth(NONE, data(texts), Beliefs.none(0, 40), 40, seed)) for seed in (7, 7, 8)
    )
    assert len(first) == 10
    assert first == again
    assert set(first) != set(other)


@pytest.mark.parametrize("pictures", [False, True])
def test_records_without_text_are_told_by_their_pictures_if_they_have_any(pictures: bool) -> None:
    others = data([""] * 5, pictures=pictures)
    picks = most_worth(data(["文字"], pictures=pictures), others, Beliefs.none(1, 5), 5, 7)
    assert len(picks) == 5
    left = 0.4 * (1 + 3 * 0.6) / (1 + 4 * 0.6)  # of five that nothing tells apart, after the first
    assert (picks[1].worth / picks[0].worth == pytest.approx(left)) is not pictures


def test_records_that_nothing_tells_apart_are_labelled_more_than_once_but_not_all() -> None:
    texts = [""] * 20 + [f"{PAGES[at % 3]}\n{chr(0x4E00 + 31 * at)}" for at in range(30)]
    chosen = rows(most_worth(NONE, data(texts), Beliefs.none(0, 50), 10, 7))
    assert 2 <= sum(row < 20 for row in chosen) < 10
    assert {row % 3 for row in chosen if row >= 20} == {0, 1, 2}


def test_nothing_to_choose_from_is_no_choice() -> None:
    assert most_worth(data(["一"]), NONE, Beliefs.none(1, 0), 5, 7) == []


def test_size_of_a_text_is_the_length_of_its_weights() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [*PAGES, "", "物流", "物流查询查询物流"]
    raw = TfidfVectorizer(analyzer=line_characters, sublinear_tf=True, norm=None).fit_transform(texts)
    lengths = np.sqrt(np.asarray(raw.multiply(raw).sum(axis=1)).ravel())
    assert TextSpace(texts, line_characters, 7).sizes == pytest.approx(lengths, rel=1e-6)


def test_two_opinions_that_differ_make_neither_sure_and_silence_counts_for_nothing() -> None:
    one, other = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[0.1, 0.9], [np.nan, np.nan]])
    assert together([one, other]) == pytest.approx(np.array([[0.5, 0.5], [0.9, 0.1]]))
    assert together([other]) == pytest.approx(np.array([[0.1, 0.9], [0.5, 0.5]]))


def test_both_voices_say_a_probability_of_every_class() -> None:
    known = data([f"{PAGES[at % 3]}\n{at}" for at in range(9)])
    proxy, lines = two_voices(known, [str(at % 3) for at in range(9)], data([PAGES[1], ""]), 7)
    for said in (proxy, lines):
        assert said.shape == (2, 3)
        assert said.sum(axis=1) == pytest.approx(1)
        assert said[0].argmax() == 1
