"""After the sale: money back, and goods back."""

from __future__ import annotations

from screens import words
from screens.drawings import tick
from screens.frame import button, card, foot, goods_row, head, main, pairs, phone, picture, price
from screens.layouts import Page, layout
from screens.world import Goods, World

REFUND, RETURN = "退款页面", "退货页面"


def stages(names: tuple[str, ...], on: int) -> str:
    """The stages of a case in a row, the first `on` of them done."""
    dots = "".join(
        f'<div class="c s {"a" if at < on else "g"}">'
        f'<span class="dot{" on" if at < on else ""}" style="display:inline-block"></span>'
        f"<div>{name}</div></div>"
        for at, name in enumerate(names)
    )
    return f'<div class="row" style="justify-content:space-between">{dots}</div>'


def evidence(w: World, kind: str) -> str:
    made = "".join(picture(w, w.goods(kind), 66) for _ in range(w.number(0, 2)))
    return (
        f'<div class="row" style="margin-top:8px">{made}<span class="plus">上传凭证<br>(最多9张)</span></div>'
    )


def case_head(w: World, title: str, note: str) -> str:
    if w.maybe(0.5):
        return (
            f'<div style="padding:16px;background:{w.theme.accent};color:#fff">'
            f'<div class="xl b">{title}</div><div class="s">{note}</div></div>'
        )
    return f'<div class="flat"><div class="l b">{title}</div><div class="g s">{note}</div></div>'


def _numbers(w: World, goods: Goods, kind: str, amount: float) -> str:
    return pairs(
        [
            (f"{kind}原因", w.pick(words.FAULTS)),
            (f"{kind if kind == '退款' else '退款'}金额", f"¥{amount:.2f}"),
            ("申请件数", str(w.number(1, 2))),
            ("申请时间", w.stamp(w.number(2, 200))),
            (f"{kind}编号", w.order_number()),
        ],
        near=w.maybe(0.3),
    )


@layout(REFUND)
def refunded(w: World) -> Page:
    goods = w.goods()
    amount = goods.price
    title, note = w.pick(
        (("退款成功", w.stamp()), ("退款成功", "款项已原路退回"), ("退款关闭", "因您撤销申请，退款关闭"))
    )
    total = card(
        pairs(
            (
                ("退款总金额", price(w, amount)),
                (w.pick(("退回账户", "退回账户", "退回到")), w.pick((w.bank(), "账户余额"))),
            )
        )
    ) + card('<div class="row"><b class="grow">钱款去向</b><span class="g s">查看详情 ›</span></div>')
    facts = card(
        f'<div class="b">退款信息</div>{goods_row(w, goods, side=58)}<div class="rule">'
        f"</div>{_numbers(w, goods, '退款', amount)}"
    )
    return phone(
        w,
        head(w, "退款详情"),
        main(case_head(w, title, note), total if title == "退款成功" else "", facts),
        foot(button("联系商家"), button("删除记录"), end=True),
    )


@layout(REFUND)
def refund_waits(w: World) -> Page:
    goods = w.goods()
    note = f"还剩{w.number(0, 2)}天{w.number(1, 23)}时{w.number(1, 59)}分，商家逾期未处理将自动退款"
    title = w.pick(("请等待商家处理", "商家已同意，退款处理中", "仅退款申请已提交"))
    tips = card(
        '<div class="g s">· 商家同意后，款项将退回账户<br>· 如商家拒绝，您可以修改申请后再次发起</div>'
    )
    facts = card(
        f'<b>仅退款</b>{goods_row(w, goods, side=58)}<div class="rule">'
        f"</div>{_numbers(w, goods, '退款', goods.price)}"
    )
    return phone(
        w,
        head(w, w.pick(("退款详情", "仅退款", "退款进度"))),
        main(case_head(w, title, note), tips, facts),
        foot(button("撤销申请"), button("修改申请", "a"), end=True),
    )


@layout(REFUND)
def refund_form(w: World) -> Page:
    goods = w.goods()
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in (
            ("货物状态", w.pick(("未收到货", "已收到货", "请选择"))),
            ("退款原因", w.pick((*words.FAULTS, "请选择"))),
        )
    )
    money = (
        f'<div class="row line"><span class="grow">退款金额</span>{price(w, goods.price)}</div>'
        f'<div class="g xs">最多¥{goods.price:.2f}，含发货邮费¥0.00</div>'
    )
    talk = (
        f'<div style="padding:10px 0 6px">申请说明</div>'
        f'<div class="input">{w.pick(("必填，请您详细填写申请说明", *words.COMPLAINTS))}</div>'
    )
    return phone(
        w,
        head(w, w.pick(("申请退款", "仅退款"))),
        main(
            card(goods_row(w, goods)),
            card("<b>仅退款</b>" if w.maybe(0.6) else "", rows, money, talk, evidence(w, goods.kind)),
            card(pairs((("退回账户", w.pick(("原支付账户", w.bank())) + " ›"),))),
        ),
        f'<div class="wide">{w.pick(("提交申请", "提交"))}</div>',
    )


@layout(REFUND)
def way_of_the_money(w: World) -> Page:
    amount = w.amount(5, 400)
    steps = "".join(
        f'<div class="time{" on" if at == 0 else ""}"><b>{name}</b>'
        f'<div class="g s">{text} {w.stamp(at * 5 + 1)}</div></div>'
        for at, (name, text) in enumerate(
            (
                ("退款成功", f"¥{amount:.2f}已退回到{w.bank()}"),
                ("银行受理", "银行已受理退款"),
                ("商家退款", "商家已同意退款"),
            )
        )
    )
    top = (
        f'<div class="c" style="padding:22px">{tick("#1aad4b")}'
        f'<div class="l b" style="margin-top:6px">退款成功</div><div class="xxl b">¥{amount:.2f}'
        f"</div></div>"
    )
    return phone(
        w,
        head(w, "钱款去向"),
        main(top, card(steps), card(pairs((("退款编号", w.order_number()), ("退回账户", w.bank()))))),
        '<div class="wide line2">我知道了</div>',
    )


@layout(RETURN)
def send_it_back(w: World) -> Page:
    goods = w.goods()
    steps = stages(("提交申请", "寄回商品", "商家验收", "退款成功"), 1)
    where = card(
        f'<div class="b">退货地址</div><div>{w.person()} {w.phone()}</div>'
        f'<div class="g s">{w.address()} <span class="a">复制</span></div>'
    )
    ways = card(
        '<div class="b" style="margin-bottom:6px">寄回方式</div>',
        *(
            f'<div class="row line"><span class="dot{" on" if at == 0 else ""}"></span>'
            f'<div class="grow"><div>{name}</div><div class="g xs">{note}</div></div></div>'
            for at, (name, note) in enumerate(
                (
                    ("快递上门取", f"{w.courier()} 运费险抵扣"),
                    ("驿站寄件", "距您350米"),
                    ("自行寄回", "请填写单号"),
                )
            )
        ),
    )
    note = f"请在{w.number(1, 6)}天{w.number(1, 23)}小时内寄回，逾期申请将关闭"
    return phone(
        w,
        head(w, w.pick(("退货退款", "退货详情"))),
        main(case_head(w, "请寄回商品", note), card(steps), where, ways, card(goods_row(w, goods))),
        f'<div class="wide">{w.pick(("填写单号", "确认寄回方式"))}</div>',
    )


@layout(RETURN)
def fill_in_the_parcel(w: World) -> Page:
    goods = w.goods()
    courier = w.courier()
    rows = "".join(
        f'<div class="row line"><span style="width:86px">{name}</span>'
        f'<span class="grow g">{value}</span></div>'
        for name, value in (
            ("物流公司", w.pick((courier, "请选择物流公司"))),
            ("物流单号", w.pick((w.parcel_number(courier), "请填写或扫描单号"))),
            ("联系电话", w.phone()),
            ("退货说明", "选填"),
        )
    )
    where = card(
        f'<div class="row"><span class="tag">退货地址</span><div class="grow"><b>{w.shop}售后'
        f'</b> {w.phone()}<div class="g s">{w.address()}</div></div></div>'
    )
    return phone(
        w,
        head(w, w.pick(("填写退货物流", "填写单号", "退货物流"))),
        main(
            where,
            card(rows, evidence(w, goods.kind)),
            card(goods_row(w, goods, side=58), pairs((("退款金额", f"¥{goods.price:.2f}"),))),
        ),
        '<div class="wide">提交</div>',
    )


@layout(RETURN)
def return_under_way(w: World) -> Page:
    goods = w.goods()
    courier = w.courier()
    title, note = w.pick(
        (
            ("等待商家收货", "商家收货并验收后退款"),
            ("商家验收中", "剩余2天自动退款"),
            ("退货退款成功", "款项已退回原账户"),
            ("商家拒收", "请联系商家协商退货"),
        )
    )
    facts = card(
        f'<b>退货退款</b>{goods_row(w, goods, side=58)}<div class="rule">'
        f"</div>{_numbers(w, goods, '退货', goods.price)}"
    )
    parcel = card(
        pairs(
            (
                ("退货物流", f"{courier} ›"),
                ("物流单号", w.parcel_number(courier)),
                ("退货地址", w.address()[:16] + "…"),
            )
        )
    )
    return phone(
        w,
        head(w, w.pick(("退货详情", "售后详情", "退货退款"))),
        main(
            case_head(w, title, note),
            card(stages(("提交申请", "寄回商品", "商家验收", "退款成功"), 4 if "成功" in title else 2)),
            parcel,
            facts,
        ),
        foot(button("联系商家"), button("撤销申请"), button("查看物流", "a"), end=True),
    )


@layout(RETURN)
def return_form(w: World) -> Page:
    goods = w.goods()
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in (
            ("服务类型", "退货退款"),
            ("货物状态", "已收到货"),
            ("退货原因", w.pick(words.FAULTS)),
            ("寄回方式", w.pick(("快递上门取件", "自行寄回"))),
        )
    )
    talk = f'<div style="padding:8px 0 6px">问题描述</div><div class="input">{w.pick(words.COMPLAINTS)}</div>'
    return phone(
        w,
        head(w, "申请退货退款"),
        main(
            card(goods_row(w, goods)),
            card(rows, talk, evidence(w, goods.kind)),
            card(f'<div class="row"><span class="grow">退款金额</span>{price(w, goods.price)}</div>'),
        ),
        '<div class="wide">提交申请</div>',
    )
