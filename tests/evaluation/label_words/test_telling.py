"""Words that tell two labels apart stand on many pictures of one, whoever's they are."""

from __future__ import annotations

from collections.abc import Sequence

from datakit.evaluation.label_words.screens import Line, Screen
from datakit.evaluation.label_words.telling import LabelWords, TellingWord

REFUND, RETURN = "退款", "退货"
NAMES = ["山野", "城南", "暖冬", "极客", "青禾", "净家", "云上", "北岸", "木吉"]


def screens(*texts: str, latin: bool = False) -> list[Screen]:
    return [
        Screen(f"s{at}", tuple(Line(line) for line in text.splitlines()), latin)
        for at, text in enumerate(texts)
    ]


def told(own: Sequence[Screen], others: Sequence[Screen], **more: Sequence[str]) -> list[str]:
    words = LabelWords({REFUND: own, RETURN: others}).telling(REFUND, RETURN, **more)  # type: ignore[arg-type]
    return [word.word for word in words]


OTHERS = screens(*(f"申请售后\n退货地址\n填写单号\n{at}" for at in range(6)))


def test_a_field_that_every_picture_of_one_label_alone_bears_is_named() -> None:
    own = screens(*(f"申请售后\n钱款去向\n退款金额 ¥{at}.00" for at in range(6)))
    (first, second) = LabelWords({REFUND: own, RETURN: OTHERS}).telling(REFUND, RETURN)
    assert first == TellingWord("退款金额", 6, 6, 0, 6)
    assert second == TellingWord("钱款去向", 6, 6, 0, 6)


def test_content_of_many_pictures_is_not_named() -> None:
    own = screens(
        *(
            f"协和医院\n王建国\n星期五\n2026年3月{at + 1}日\n蓝牙耳机\n华为Mate60手机\n"
            f"收件人：李小明明\n墨黑\n{at}件\n¥{at}9\n"
            f"订单编号 20260508{at:010}\n高清降噪头戴式无线蓝牙运动耳机\n安徽省合肥市蜀山区青年路\n申请原因"
            for at in range(6)
        )
    )
    assert told(own, OTHERS, most=9) == ["申请原因", "订单编号", "收件人"]  # type: ignore[arg-type]


def test_a_word_that_stands_in_titles_too_is_of_the_goods() -> None:
    own = screens(
        *(f"降噪神器\n无线{at}号降噪神器迷你款\n退款金额" for at in range(3)), *["降噪神器\n退款金额"] * 3
    )
    titles = screens(*(f"新品降噪神器送礼{at}" for at in range(9)))
    words = LabelWords({REFUND: own, RETURN: OTHERS, "商品": titles})
    assert [word.word for word in words.telling(REFUND, RETURN)] == ["退款金额"]


def test_words_of_one_shop_are_none_of_the_label_however_many_its_pictures_are() -> None:
    shop = [f"退款金额\n安心退保障\n退款编号 71992813916720{at:02}\n拾味食品旗舰店" for at in range(8)]
    others = [f"退款金额\n退款编号 81992813916720{at:02}\n{name}旗舰店" for at, name in enumerate(NAMES[:3])]
    assert told(screens(*shop, *others), OTHERS) == ["退款编号", "退款金额"]
    free = [text.replace("拾味食品", name) for name, text in zip(NAMES, shop, strict=False)]
    assert "安心退保障" in told(screens(*free, *others), OTHERS)


def test_words_of_one_month_are_none_of_the_label() -> None:
    march = [f"退款金额\n焕新盛典\n2026-03-{at + 10} 10:0{at}" for at in range(8)]
    later = [f"退款金额\n2026-{month:02}-11 10:00" for month in (5, 6, 7)]
    assert told(screens(*march, *later), OTHERS) == ["退款金额"]


def test_a_word_that_the_description_has_already_is_not_named_again() -> None:
    own = screens(*(f"钱款去向\n退款金额\n{at}" for at in range(4)))
    assert told(own, OTHERS, without=["有退款金额和退款编号"]) == ["钱款去向"]


def test_a_sentence_and_the_end_of_one_are_no_words() -> None:
    own = screens(*(f"物流很快，质量不错\n因您撤销申请，退款关闭\n退款详情\n{at}" for at in range(4)))
    assert told(own, OTHERS) == ["退款详情"]


def test_too_few_pictures_tell_nothing() -> None:
    own = screens("退款金额", "退款金额")
    assert told(own, OTHERS) == []
    assert told(OTHERS, own) == []
    assert told([], []) == []


def test_a_word_at_one_height_is_steady_and_one_in_a_list_is_not() -> None:
    def screen(at: int) -> Screen:
        return Screen(str(at), (Line("退款详情", 0.05), Line("钱款去向", 0.1 + 0.13 * at)))

    words = LabelWords({REFUND: [screen(at) for at in range(6)], RETURN: OTHERS}).telling(REFUND, RETURN)
    assert [(word.word, word.steady) for word in words] == [("退款详情", True), ("钱款去向", False)]


def test_in_latin_screens_whole_lines_of_few_words_are_told() -> None:
    own = screens(
        *(f"Refund Amount\nOrder total: ${at}\nGreat service, thanks!" for at in range(4)), latin=True
    )
    others = screens(*(f"Order total: ${at}\nShip back" for at in range(4)), latin=True)
    assert told(own, others) == ["refund amount"]
