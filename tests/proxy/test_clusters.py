"""Parts of a class that the rest contradicts, the clearest first."""

from __future__ import annotations

from datakit.proxy import FittedProxy, ProxyData
from datakit.proxy.clusters import Cluster, clusters

TEXTS = {
    "退款": "退款金额\n原路退回\n到账时间",
    "物流": "包裹运输中\n派送\n揽收",
    "支付": "收银台\n确认付款\n银行卡",
    "购物车": "全选\n合计\n结算",
}


def found(screens: list[tuple[str, str, int]]) -> list[Cluster]:
    """The clusters of so many screens of a class under a label."""
    pages = [(page, label) for page, label, count in screens for _ in range(count)]
    texts = [f"{TEXTS[page]}\n尾号 {chr(0x4E00 + 7 * at)}" for at, (page, _) in enumerate(pages)]
    data = ProxyData(texts, None, [str(at) for at in range(len(texts))])
    labels = [label for _, label in pages]
    return clusters(FittedProxy(data, labels, 7), data, labels)


def test_a_small_part_of_a_large_class_is_clearer_than_nearly_half_of_a_small_one() -> None:
    clean = [(name, name, 30) for name in ("退款", "支付", "购物车")]
    planted = [("退款", "物流", 6), ("支付", "购物车", 3)]
    said = found([*clean, ("物流", "物流", 8), *planted])
    assert [(one.label, one.other, len(one.rows)) for one in said] == [
        ("购物车", "支付", 3),
        ("物流", "退款", 6),
    ]


def test_classes_without_a_wrong_label_have_no_cluster() -> None:
    assert found([(name, name, 12) for name in TEXTS]) == []
