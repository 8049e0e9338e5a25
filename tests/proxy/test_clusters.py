"""Parts of a class that the rest contradicts, the clearest first."""

from __future__ import annotations

import numpy as np

from datakit.proxy import FittedProxy, ProxyData
from datakit.proxy.clusters import CLEAR, Cluster, clusters
from datakit.proxy.pictures import SIZE
from datakit.proxy.voices import RIDGE, Ridge

TEXTS = {
    "退款": "退款金额\n原路退回\n到账时间",
    "物流": "包裹运输中\n派送\n揽收",
    "支付": "收银台\n确认付款\n银行卡",
    "购物车": "全选\n合计\n结算",
    "快递柜": "取件码\n柜门已开\n超时收费",
}
WORDS = {
    "退款": "退款金额，多久到账",
    "物流": "包裹在运输中、派送中，或者在快递柜里等取件",
    "支付": "在收银台付款",
    "购物车": "全选、结算",
}


def found(screens: list[tuple[str, str, int]], words: dict[str, str] | None = None) -> list[Cluster]:
    """The clusters of so many screens of a page under a label, where such words tell the classes."""
    pages = [(page, label) for page, label, count in screens for _ in range(count)]
    texts = [f"{TEXTS[page]}\n尾号 {chr(0x4E00 + 7 * at)}" for at, (page, _) in enumerate(pages)]
    data = ProxyData(texts, None, [str(at) for at in range(len(texts))])
    labels = [label for _, label in pages]
    return clusters(FittedProxy(data, labels, 7), data, labels, words=words)


def test_of_alike_mistakes_the_one_in_more_records_stands_first() -> None:
    clean = [(name, name, 30) for name in ("退款", "支付", "购物车")]
    planted = [("退款", "物流", 6), ("支付", "购物车", 3)]
    said = found([*clean, ("物流", "物流", 8), *planted])
    assert [(one.label, one.other, len(one.rows)) for one in said] == [
        ("物流", "退款", 6),
        ("购物车", "支付", 3),
    ]
    assert said[0].score > said[1].score >= CLEAR


def test_classes_without_a_wrong_label_have_no_cluster() -> None:
    assert found([(name, name, 12) for name in TEXTS]) == []


def test_a_page_that_is_labelled_wrong_throughout_is_found_by_the_words_that_tell_its_class() -> None:
    clean = [(name, name, 20) for name in ("退款", "支付", "购物车")]
    screens = [*clean, ("快递柜", "物流", 12), ("物流", "支付", 9)]
    assert found(screens) == []
    said = found(screens, WORDS)
    assert [(one.label, one.other, len(one.rows)) for one in said] == [("支付", "物流", 9)]
    assert said[0].probability > said[0].own


def test_words_that_tell_no_record_at_hand_change_nothing() -> None:
    screens = [*((name, name, 20) for name in ("退款", "支付", "购物车")), ("退款", "支付", 4)]
    numbers = {name: str(at) for at, name in enumerate(TEXTS)}
    assert found(screens, numbers) == found(screens, dict.fromkeys(TEXTS, "")) != []


def test_what_other_labels_would_say_of_a_record_is_what_a_regression_without_it_says() -> None:
    random = np.random.default_rng(3)
    points, given = random.normal(size=(20, 6)), np.arange(20) % 3
    rows, among = np.array([0, 3, 6]), np.array([1, 3, 6, 7])
    targets = np.eye(3)[given] - np.eye(3)[given].mean(axis=0)
    targets[rows] += np.eye(3)[2] - np.eye(3)[0]
    ridge = Ridge(points, given, 3)
    for _ in range(2):  # asking changes nothing
        said = ridge.relabelled(rows, (0, 2), among)
        for at, row in enumerate(among.tolist()):
            others = np.delete(points, row, axis=0)
            inverse = np.linalg.inv(others.T @ others + RIDGE * np.eye(6))
            weights = inverse @ others.T @ np.delete(targets, row, axis=0)
            # The record's own target leaves nothing behind, whichever it is.
            np.testing.assert_allclose(said[at], points[row] @ weights, atol=1e-9)


def test_without_a_change_the_others_say_what_they_say_with_and_without_pictures() -> None:
    pictures = np.random.default_rng(5).random((12, SIZE)).astype(np.float32)
    pictures[[2, 7]] = np.nan
    texts = [f"{TEXTS[name]}\n{at}" for at in range(3) for name in list(TEXTS)[:4]]
    texts[5] = ""
    data = ProxyData(texts, pictures, [str(at) for at in range(12)])
    fitted = FittedProxy(data, list(TEXTS)[:4] * 3, 7)
    nobody, among = np.arange(0), np.array([1, 2, 5, 7, 11])
    np.testing.assert_allclose(fitted.relabelled(nobody, (0, 1), among), fitted.left_out()[among])
    moved = fitted.relabelled(np.array([2, 3]), (0, 1), among)  # one of them has no picture
    assert not np.allclose(moved, fitted.left_out()[among])
    np.testing.assert_allclose(moved.sum(axis=1), 1)
