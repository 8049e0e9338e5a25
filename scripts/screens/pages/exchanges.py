"""Exchanges: another article for the one that came."""

from __future__ import annotations

from dataclasses import replace

from screens import words
from screens.frame import button, card, foot, goods_row, head, main, pairs, phone, shop_line
from screens.layouts import Page, layout
from screens.pages.after_sales import case_head, evidence, stages
from screens.world import Goods, World

LABEL = "换货页面"
_STATES = (
    ("等待商家同意换货", "商家将在48小时内处理"),
    ("请寄回需换货的商品", "请在6天内寄回并填写单号"),
    ("商家已发出换货商品", "请注意查收"),
    ("换货成功", "感谢您的支持"),
    ("商家拒绝换货", "您可以修改申请"),
)


def _wanted(w: World, goods: Goods) -> str:
    """The options of what is to come instead."""

    def options(names: tuple[str, ...]) -> str:
        return "".join(
            f'<span class="opt{" on" if at == 1 else ""}">{name}</span>' for at, name in enumerate(names)
        )

    return (
        f'<div class="b" style="margin:6px 0">{w.pick(("换货规格", "选择换货规格"))}'
        f"</div>{options(goods.colours)}<div></div>{options(goods.ordered_sizes)}"
    )


@layout(LABEL)
def exchange_form(w: World) -> Page:
    goods = w.goods()
    rows = (
        f'<div class="row line"><span class="grow">换货原因</span>'
        f'<span class="g">{w.pick(words.FAULTS)} ›</span></div>'
    )
    count = (
        f'<div class="row line"><span class="grow">换货数量</span><span>－ {w.number(1, 2)} ＋</span></div>'
    )
    talk = (
        f'<div style="padding:8px 0 6px">问题描述</div><div class="input">'
        f"{w.pick(('请描述商品的问题，方便商家处理', *words.COMPLAINTS))}</div>{evidence(w, goods.kind)}"
    )
    where = card(
        f'<div class="g s">收货地址</div><div>{w.person()} {w.phone()}</div>'
        f'<div class="s">{w.address()}</div>'
    )
    return phone(
        w,
        head(w, w.pick(("申请换货", "申请换货", "换货"))),
        main(card(goods_row(w, goods, side=60)), card(rows, _wanted(w, goods), count, talk), where),
        f'<div class="wide">{w.pick(("提交换货申请", "申请换货", "提交申请"))}</div>',
    )


@layout(LABEL)
def exchange_under_way(w: World) -> Page:
    goods, courier = w.goods(), w.courier()
    title, note = w.pick(_STATES)
    done = 4 if "成功" in title else 3 if "发出" in title else 1
    steps = card(stages(("申请换货", "寄回商品", "商家发货", "换货成功"), done))
    facts = pairs(
        (
            ("换货原因", w.pick(words.FAULTS)),
            ("换货规格", w.goods(goods.kind).choice),
            ("换货数量", "1"),
            ("换货编号", w.order_number()),
            ("申请时间", w.stamp(60)),
        )
    )
    parcel = (
        card(pairs((("换新物流", f"{courier} ›"), ("物流单号", w.parcel_number(courier)))))
        if "发出" in title or "成功" in title
        else ""
    )
    return phone(
        w,
        head(w, w.pick(("换货详情", "换货进度", "售后详情"))),
        main(
            case_head(w, title, note),
            steps,
            parcel,
            card(goods_row(w, goods, side=58), '<div class="rule"></div>', facts),
        ),
        foot(
            button("联系商家"),
            button("撤销换货"),
            button("填写单号" if "寄回" in title else "换货进度", "a"),
            end=True,
        ),
    )


@layout(LABEL)
def exchangestages(w: World) -> Page:
    """The record of an exchange, step by step, with the old article over the new one."""
    goods = w.goods()
    other = replace(goods, colour=w.pick(goods.colours), size=w.pick(goods.sizes))
    swap = card(
        shop_line(w),
        '<div class="g s">换出商品</div>',
        goods_row(w, goods, side=52),
        '<div class="g s" style="margin-top:8px">换新商品</div>',
        goods_row(w, other, side=52),
    )
    steps = "".join(
        f'<div class="time{" on" if at == 0 else ""}"><b>{name}</b>'
        f'<div class="g s">{text} · {w.stamp(at * 20 + 1)}</div></div>'
        for at, (name, text) in enumerate(
            [
                ("换货成功", "您已签收换货商品"),
                ("商家发货", f"{w.courier()} {w.digits(13)}"),
                ("商家收货", "商家已收到寄回商品"),
                ("买家寄回", "您已寄回商品"),
                ("申请换货", "换货申请已提交"),
            ][w.number(0, 3) :]
        )
    )
    facts = card(pairs((("换货编号", w.order_number()), ("换货原因", w.pick(words.FAULTS)))))
    return phone(
        w,
        head(w, "换货进度"),
        main(swap, card(steps), facts),
        foot(button("联系商家"), button("确认收货", "a"), end=True),
    )
