"""Which lines of a screen's text are the phone's status bar."""

from __future__ import annotations

import pytest

from datakit.core.status_bar import without_status_bar

BODY = "订单详情\n等待卖家发货\n实付款 ￥58.00"


@pytest.mark.parametrize(
    "bar",
    [
        "9:41",
        "9:41 5G 87%",
        "9.41 5G 87%",
        "上午9.41",
        "09:41 HD 5G 87%",
        "21:07 12.3KB/s HD 5G 64",
        "上午9:41 中国移动 4G",
        "中国联通 5G 100% 23:59",
        "China Mobile 4G 9:41AM",
        "16：30 静音 Wi-Fi",
        "HD 5G 静音 87% 8:05",
        "8:05 0.4 K/s .ıll 5G [64]",
        "9:41\n5G 87%",
        "9:41\n12.3KB/s\nHD 5G 87%",
        "5G 87%",
        "9:41 ··· ▮",
        # as RapidOCR reads the example's screens
        ".ll 5G 26%21:54",
        "06:07 -lWi-Fi 93%",
        "- 4G 37.1KB/s 45%10:55",
        "19:5016.9KB/s -lWi-Fi 76%",
        "7:32 2.7KB/s l HD 5G O",
        "-l HD 5G 73.3KB/s 48% :5:42",
        "17:09静音 l 5G □",
        "il 5G 67% 6:57",
        "01:51 -l75%",
        "l Wi-Fi 6%02:33",
        "14:59静音 -1l 5G 47%（",
        "09:18 -l Wi-Fi 99%C",
        # as engines read the bars of the example, whose parts stand close together
        ".ll 5G\n26%21:54",
        "09:18\n-l Wi-Fi 99%C",
        "0:13 75.1KB/s\nl Wi-Fi D",
        "14:30静音\n-l 5G 58%",
        "18%：19:43\n-l HD 5G 21.4KB/s",
        "-l HD 5G 73.3KB/s\n48% :5:42",
        "19:5016.9KB/s\n-lWi-Fi 76%",
        "u 5G 静音\n□19:29",
        "04:07\n川l\n20%",
        "09:26 静音\n-l HD 5G 90%□*",
        "ll 5GO\n10:43 69.4KB/s",
    ],
)
def test_a_status_bar_at_the_top_is_left_out(bar: str) -> None:
    assert without_status_bar(f"{bar}\n{BODY}") == BODY


@pytest.mark.parametrize(
    "text",
    [
        "5G 手机专场\n满2000减300",
        "5G\n全网通手机",
        "87%\n的用户选择了它",
        "9:41 张三的店铺\n你好",
        "商品详情\n10:32\n在吗\n10:33\n在的",
        "10月24日 09:30 已签收",
        "2024.11 账单",
        "HD\n高清大图",
        "64\n件商品",
        "all\n全部",
        "9:41 likes\nHD 5G",
        "10:30 开抢\n限时秒杀",
        "15%折扣\n5G 手机",
        "9:41 ok\n好的",
        "5G手机\n100%正品",
        "filter 4G\n87%off",
        "6.18\n大促",
        "12.50\n到手价",
        "3.50\n20%\n立减",
        "1234\n1:22",
        "6.18\n5G 87%\n手机节",
        "19:30开抢\n5G会场",
        "",
        "\n\n",
    ],
)
def test_the_screens_own_text_stays(text: str) -> None:
    assert without_status_bar(text) == text


def test_the_time_of_the_first_message_stays_behind_the_clock() -> None:
    assert without_status_bar("9:41 5G\n9:40\n在吗") == "9:40\n在吗"


def test_the_bar_of_a_second_picture_is_left_out_and_a_time_in_the_middle_is_not() -> None:
    text = "9:41 5G\n退款成功\n9:42 5G 86%\n钱款去向\n10:02"
    assert without_status_bar(text) == "退款成功\n钱款去向\n10:02"


def test_a_screen_with_nothing_but_a_status_bar_has_no_text() -> None:
    assert without_status_bar("9:41 5G 87%") == ""


def test_signal_bars_that_run_into_the_network_behind_them_are_a_status_bar() -> None:
    for bar in ("02:46 -lHD 5G 68%", "02:46 .llVoLTE 68%", "02:46 lWi-Fi 68%"):
        assert without_status_bar(f"{bar}\n订单详情") == "订单详情"
    assert without_status_bar("02:46 labels 68%\n订单详情").startswith("02:46")
