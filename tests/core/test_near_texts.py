"""Near texts: what is found is near, what is near is found, and short texts say nothing."""

from __future__ import annotations

import random
import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.likeness import grams, jaccard
from datakit.core.near_texts import ALL_PAIRS_UP_TO, likely_pairs, near_text_groups

WORDS = [
    "订单",
    "支付成功",
    "退款",
    "物流",
    "客服",
    "优惠券",
    "商品详情",
    "评论",
    "收货地址",
    "立即购买",
    "😀",
]


def text(seed: int, words: int = 14) -> str:
    rng = random.Random(seed)
    return "".join(f"{rng.choice(WORDS)}{rng.randrange(1000)}" for _ in range(words))


def test_equal_texts_are_one_whatever_their_white_space_and_short_ones_are_none() -> None:
    long = text(1)
    found = near_text_groups([long, None, f" {long[:9]}\n{long[9:]}", "确定", "确定", ""], 0.7, 24)
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 5


def test_groups_join_through_a_text_in_between() -> None:
    chain = ["".join(chr(0x4E00 + at + step * 6) for at in range(60)) for step in range(4)]
    assert jaccard(grams(chain[0]), grams(chain[1])) > 0.7
    assert jaccard(grams(chain[0]), grams(chain[3])) < 0.7
    assert len(set(near_text_groups(chain, 0.7, 24).tolist())) == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 40), changes=st.integers(0, 30))
def test_groups_of_few_texts_are_those_of_comparing_all(seed: int, count: int, changes: int) -> None:
    rng = random.Random(seed)
    texts = [text(seed)]
    for _ in range(count):
        letters = list(rng.choice(texts))
        for _ in range(rng.randint(0, changes)):
            letters[rng.randrange(len(letters))] = rng.choice("甲乙丙丁")
        texts.append("".join(letters))
    sets = [grams(one) for one in texts]
    joined = {at: {at} for at in range(len(texts))}
    for one in range(len(texts)):
        for two in range(one):
            if jaccard(sets[one], sets[two]) >= 0.7 and joined[one] is not joined[two]:
                joined[one] |= joined[two]
                for other in joined[two]:
                    joined[other] = joined[one]
    wanted = {frozenset(group) for group in joined.values()}
    numbers = near_text_groups(texts, 0.7, 24)
    assert {frozenset(np.flatnonzero(numbers == number).tolist()) for number in numbers} == wanted


def test_near_ones_of_many_texts_are_found_and_no_others() -> None:
    rng = random.Random(3)
    texts = [text(seed) for seed in range(3000)]
    assert len(texts) > ALL_PAIRS_UP_TO
    planted = []
    for at in range(0, 3000, 5):
        letters = list(texts[at])
        for _ in range(rng.randint(1, 3)):
            letters[rng.randrange(len(letters))] = "某"
        planted.append((at, len(texts)))
        texts.append("".join(letters))
    began = time.process_time()
    numbers = near_text_groups(texts, 0.7, 24)
    assert time.process_time() - began < 8
    near = [pair for pair in planted if jaccard(*(grams(texts[at]) for at in pair)) >= 0.7]
    assert len(near) > 500
    assert sum(numbers[one] == numbers[two] for one, two in near) >= 0.98 * len(near)
    sizes = np.bincount(numbers)
    assert (sizes > 1).sum() <= len(planted)


def test_texts_and_sets_of_grams_give_the_same_candidates() -> None:
    texts = [text(seed % 350, words=6) + str(seed) for seed in range(400)]
    pairs = set(likely_pairs([grams(one) for one in texts], 0.7))
    near = {pair for pair in pairs if jaccard(*(grams(texts[at]) for at in pair)) >= 0.7}
    numbers = near_text_groups(texts, 0.7, 3)
    assert near
    assert all(numbers[one] == numbers[two] for one, two in near)
    assert len(set(numbers.tolist())) >= len(texts) - len(near)


def test_many_equal_beginnings_cost_no_more_than_others() -> None:
    texts = [text(1, words=12) + chr(0x4E00 + at) for at in range(5000)]
    began = time.process_time()
    assert len(set(near_text_groups(texts, 0.7, 24).tolist())) == 1
    assert time.process_time() - began < 20
