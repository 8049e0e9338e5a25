"""After the sale: money back, goods back, another article."""

from __future__ import annotations

from dataclasses import replace

from screens import words
from screens.drawings import tick
from screens.frame import button, card, foot, goods_row, head, main, pairs, phone, picture, price, shop_line
from screens.layouts import Page, layout
from screens.world import Goods, World

REFUND, RETURN, EXCHANGE = "退款页面", "退货页面", "换货页面"


def _steps(names: tuple[str, ...], on: int) -> str:
    """The stages of a case in a row, the first `on` of them done."""
    dots = "".join(
        f'<div class="c s {"a" if at < on else "g"}"><span class="dot{" on" if at < on else ""}" style="display:inline-block"></span><div>{name}</div></div>'
        for at, name in enumerate(names)
    )
    return f'<div class="row" style="justify-content:space-between">{dots}</div>'


def _shots(w: World, kind: str) -> str:
    made = "".join(picture(w, w.goods(kind), 66) for _ in range(w.number(0, 2)))
    return f'<div class="row" style="margin-top:8px">{made}<span class="plus">上传凭证<br>(最多9张)</span></div>'


def _head_block(w: World, title: str, note: str) -> str:
    if w.maybe(0.5):
        return f'<div style="padding:16px;background:{w.theme.accent};color:#fff"><div class="xl b">{title}</div><div class="s">{note}</div></div>'
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
    title, note = w.pick((("退款成功", w.stamp()), ("退款成功", "款项已原路退回"), ("退款关闭", "因您撤销申请，退款关闭")))
    total = card(pairs((("退款总金额", price(w, amount)), (w.pick(("退回账户", "退回账户", "退回到")), w.pick((w.bank(), "账户余额")))))) + card('<div class="row"><b class="grow">钱款去向</b><span class="g s">查看详情 ›</span></div>')
    facts = card(f'<div class="b">退款信息</div>{goods_row(w, goods, side=58)}<div class="rule"></div>{_numbers(w, goods, "退款", amount)}')
    return phone(w, head(w, "退款详情"), main(_head_block(w, title, note), total if title == "退款成功" else "", facts), foot(button("联系商家"), button("删除记录"), end=True))


@layout(REFUND)
def refund_waits(w: World) -> Page:
    goods = w.goods()
    note = f"还剩{w.number(0, 2)}天{w.number(1, 23)}时{w.number(1, 59)}分，商家逾期未处理将自动退款"
    title = w.pick(("请等待商家处理", "商家已同意，退款处理中", "仅退款申请已提交"))
    tips = card('<div class="g s">· 商家同意后，款项将退回账户<br>· 如商家拒绝，您可以修改申请后再次发起</div>')
    facts = card(f'<b>仅退款</b>{goods_row(w, goods, side=58)}<div class="rule"></div>{_numbers(w, goods, "退款", goods.price)}')
    return phone(w, head(w, w.pick(("退款详情", "仅退款", "退款进度"))), main(_head_block(w, title, note), tips, facts), foot(button("撤销申请"), button("修改申请", "a"), end=True))


@layout(REFUND)
def refund_form(w: World) -> Page:
    goods = w.goods()
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in (("货物状态", w.pick(("未收到货", "已收到货", "请选择"))), ("退款原因", w.pick((*words.FAULTS, "请选择"))))
    )
    money = f'<div class="row line"><span class="grow">退款金额</span>{price(w, goods.price)}</div><div class="g xs">最多¥{goods.price:.2f}，含发货邮费¥0.00</div>'
    talk = f'<div style="padding:10px 0 6px">申请说明</div><div class="input">{w.pick(("必填，请您详细填写申请说明", *words.COMPLAINTS))}</div>'
    return phone(w, head(w, w.pick(("申请退款", "仅退款"))), main(card(goods_row(w, goods)), card("<b>仅退款</b>" if w.maybe(0.6) else "", rows, money, talk, _shots(w, goods.kind)), card(pairs((("退回账户", w.pick(("原支付账户", w.bank())) + " ›"),)))), f'<div class="wide">{w.pick(("提交申请", "提交"))}</div>')


@layout(REFUND)
def way_of_the_money(w: World) -> Page:
    amount = w.amount(5, 400)
    steps = "".join(
        f'<div class="time{" on" if at == 0 else ""}"><b>{name}</b><div class="g s">{text} {w.stamp(at * 5 + 1)}</div></div>'
        for at, (name, text) in enumerate((("退款成功", f"¥{amount:.2f}已退回到{w.bank()}"), ("银行受理", "银行已受理退款"), ("商家退款", "商家已同意退款")))
    )
    top = f'<div class="c" style="padding:22px">{tick("#1aad4b")}<div class="l b" style="margin-top:6px">退款成功</div><div class="xxl b">¥{amount:.2f}</div></div>'
    return phone(w, head(w, "钱款去向"), main(top, card(steps), card(pairs((("退款编号", w.order_number()), ("退回账户", w.bank()))))), '<div class="wide line2">我知道了</div>')


@layout(RETURN)
def send_it_back(w: World) -> Page:
    goods = w.goods()
    steps = _steps(("提交申请", "寄回商品", "商家验收", "退款成功"), 1)
    where = card(f'<div class="b">退货地址</div><div>{w.person()} {w.phone()}</div><div class="g s">{w.address()} <span class="a">复制</span></div>')
    ways = card(
        '<div class="b" style="margin-bottom:6px">寄回方式</div>',
        *(f'<div class="row line"><span class="dot{" on" if at == 0 else ""}"></span><div class="grow"><div>{name}</div><div class="g xs">{note}</div></div></div>' for at, (name, note) in enumerate((("快递上门取", f"{w.courier()} 运费险抵扣"), ("驿站寄件", "距您350米"), ("自行寄回", "请填写单号")))),
    )
    note = f"请在{w.number(1, 6)}天{w.number(1, 23)}小时内寄回，逾期申请将关闭"
    return phone(w, head(w, w.pick(("退货退款", "退货详情"))), main(_head_block(w, "请寄回商品", note), card(steps), where, ways, card(goods_row(w, goods))), f'<div class="wide">{w.pick(("填写单号", "确认寄回方式"))}</div>')


@layout(RETURN)
def fill_in_the_parcel(w: World) -> Page:
    goods = w.goods()
    courier = w.courier()
    rows = "".join(
        f'<div class="row line"><span style="width:86px">{name}</span><span class="grow g">{value}</span></div>'
        for name, value in (("物流公司", w.pick((courier, "请选择物流公司"))), ("物流单号", w.pick((w.parcel_number(courier), "请填写或扫描单号"))), ("联系电话", w.phone()), ("退货说明", "选填"))
    )
    where = card(f'<div class="row"><span class="tag">退货地址</span><div class="grow"><b>{w.shop}售后</b> {w.phone()}<div class="g s">{w.address()}</div></div></div>')
    return phone(w, head(w, w.pick(("填写退货物流", "填写单号", "退货物流"))), main(where, card(rows, _shots(w, goods.kind)), card(goods_row(w, goods, side=58), pairs((("退款金额", f"¥{goods.price:.2f}"),)))), '<div class="wide">提交</div>')


@layout(RETURN)
def return_under_way(w: World) -> Page:
    goods = w.goods()
    courier = w.courier()
    title, note = w.pick((("等待商家收货", "商家收货并验收后退款"), ("商家验收中", "剩余2天自动退款"), ("退货退款成功", "款项已退回原账户"), ("商家拒收", "请联系商家协商退货")))
    facts = card(f'<b>退货退款</b>{goods_row(w, goods, side=58)}<div class="rule"></div>{_numbers(w, goods, "退货", goods.price)}')
    parcel = card(pairs((("退货物流", f"{courier} ›"), ("物流单号", w.parcel_number(courier)), ("退货地址", w.address()[:16] + "…"))))
    return phone(w, head(w, w.pick(("退货详情", "售后详情", "退货退款"))), main(_head_block(w, title, note), card(_steps(("提交申请", "寄回商品", "商家验收", "退款成功"), 4 if "成功" in title else 2)), parcel, facts), foot(button("联系商家"), button("撤销申请"), button("查看物流", "a"), end=True))


@layout(RETURN)
def return_form(w: World) -> Page:
    goods = w.goods()
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in (("服务类型", "退货退款"), ("货物状态", "已收到货"), ("退货原因", w.pick(words.FAULTS)), ("寄回方式", w.pick(("快递上门取件", "自行寄回"))))
    )
    talk = f'<div style="padding:8px 0 6px">问题描述</div><div class="input">{w.pick(words.COMPLAINTS)}</div>'
    return phone(w, head(w, "申请退货退款"), main(card(goods_row(w, goods)), card(rows, talk, _shots(w, goods.kind)), card(f'<div class="row"><span class="grow">退款金额</span>{price(w, goods.price)}</div>')), '<div class="wide">提交申请</div>')


def _wanted(w: World, goods: Goods) -> str:
    """The options of what is to come instead."""
    def options(names: tuple[str, ...]) -> str:
        return "".join(f'<span class="opt{" on" if at == 1 else ""}">{name}</span>' for at, name in enumerate(names))

    return f'<div class="b" style="margin:6px 0">{w.pick(("换货规格", "选择换货规格"))}</div>{options(goods.colours)}<div></div>{options(goods.sizes)}'


@layout(EXCHANGE)
def exchange_form(w: World) -> Page:
    goods = w.goods()
    rows = f'<div class="row line"><span class="grow">换货原因</span><span class="g">{w.pick(words.FAULTS)} ›</span></div>'
    count = f'<div class="row line"><span class="grow">换货数量</span><span>－ {w.number(1, 2)} ＋</span></div>'
    talk = f'<div style="padding:8px 0 6px">问题描述</div><div class="input">{w.pick(("请描述商品的问题，方便商家处理", *words.COMPLAINTS))}</div>{_shots(w, goods.kind)}'
    where = card(f'<div class="g s">收货地址</div><div>{w.person()} {w.phone()}</div><div class="s">{w.address()}</div>')
    return phone(w, head(w, w.pick(("申请换货", "申请换货", "换货"))), main(card(goods_row(w, goods, side=60)), card(rows, _wanted(w, goods), count, talk), where), f'<div class="wide">{w.pick(("提交换货申请", "申请换货", "提交申请"))}</div>')


@layout(EXCHANGE)
def exchange_under_way(w: World) -> Page:
    goods, courier = w.goods(), w.courier()
    title, note = w.pick((("等待商家同意换货", "商家将在48小时内处理"), ("请寄回需换货的商品", "请在6天内寄回并填写单号"), ("商家已发出换货商品", "请注意查收"), ("换货成功", "感谢您的支持"), ("商家拒绝换货", "您可以修改申请")))
    done = 4 if "成功" in title else 3 if "发出" in title else 1
    steps = card(_steps(("申请换货", "寄回商品", "商家发货", "换货成功"), done))
    facts = pairs((("换货原因", w.pick(words.FAULTS)), ("换货规格", w.goods(goods.kind).choice), ("换货数量", "1"), ("换货编号", w.order_number()), ("申请时间", w.stamp(60))))
    parcel = card(pairs((("换新物流", f"{courier} ›"), ("物流单号", w.parcel_number(courier))))) if "发出" in title or "成功" in title else ""
    return phone(w, head(w, w.pick(("换货详情", "换货进度", "售后详情"))), main(_head_block(w, title, note), steps, parcel, card(goods_row(w, goods, side=58), '<div class="rule"></div>', facts)), foot(button("联系商家"), button("撤销换货"), button("填写单号" if "寄回" in title else "换货进度", "a"), end=True))


@layout(EXCHANGE)
def exchange_steps(w: World) -> Page:
    """The record of an exchange, step by step, with the old article over the new one."""
    goods = w.goods()
    other = replace(goods, colour=w.pick(goods.colours), size=w.pick(goods.sizes))
    swap = card(shop_line(w), '<div class="g s">换出商品</div>', goods_row(w, goods, side=52), '<div class="g s" style="margin-top:8px">换新商品</div>', goods_row(w, other, side=52))
    steps = "".join(
        f'<div class="time{" on" if at == 0 else ""}"><b>{name}</b><div class="g s">{text} · {w.stamp(at * 20 + 1)}</div></div>'
        for at, (name, text) in enumerate([("换货成功", "您已签收换货商品"), ("商家发货", f"{w.courier()} {w.digits(13)}"), ("商家收货", "商家已收到寄回商品"), ("买家寄回", "您已寄回商品"), ("申请换货", "换货申请已提交")][w.number(0, 3) :])
    )
    facts = card(pairs((("换货编号", w.order_number()), ("换货原因", w.pick(words.FAULTS)))))
    return phone(w, head(w, "换货进度"), main(swap, card(steps), facts), foot(button("联系商家"), button("确认收货", "a"), end=True))
