"""From the cart to the order: the cart, the failure while ordering, the order."""

from __future__ import annotations

from screens.drawings import alarm
from screens.frame import (
    button,
    card,
    foot,
    goods_row,
    head,
    main,
    nav,
    pairs,
    phone,
    picture,
    price,
    shop_line,
)
from screens.layouts import Page, layout
from screens.pages.goods import buy_bar, picker_sheet
from screens.world import World

CART, FAILURE, ORDER = "购物车页面", "下单过程中出现异常（显示购买失败浮窗）", "订单详情页面"
APP_NAV = ("首页", "关注", "消息", "购物车", "我的")


def _cart_line(w: World, *, gone: bool = False) -> str:
    goods = w.goods()
    mark = (
        '<span class="tag">失效</span>'
        if gone
        else f'<span class="dot{" on" if w.maybe(0.5) else ""}"></span>'
    )
    note = w.pick(("", f"比加入时降¥{w.number(1, 30)}", f"仅剩{w.number(1, 9)}件", "7天无理由退货"))
    count = f'<span class="g">－ <span style="color:var(--i)">{w.number(1, 4)}</span> ＋</span>'
    return (
        f'<div class="row top" style="margin-bottom:14px">{mark}{picture(w, goods, 82)}'
        f'<div class="grow col"><span>{goods.title}</span>'
        f'<span class="pill" style="margin:0;width:max-content">{goods.choice}</span>'
        f'<span class="s a">{note}</span>'
        f'<div class="row"><span class="grow">{price(w, goods.price)}</span>{count}</div></div></div>'
    )


def _cart_foot(w: World) -> str:
    total, off = w.amount(30, 2000), w.number(3, 60)
    save = f'<div class="xs g">{w.pick((f"已优惠¥{off}", "不含运费", f"共减¥{off} 明细"))}</div>'
    pay = button(w.pick((f"结算({w.number(1, 9)})", "去结算", "领券结算", f"结算({w.number(1, 9)})")), "full")
    return foot(
        f'<span class="dot"></span><span>全选</span><div class="grow right">合计：'
        f"{price(w, total)}{save}</div>{pay}"
    )


@layout(CART)
def cart(w: World) -> Page:
    shops = [
        card(shop_line(w, w.any_shop()), *(_cart_line(w) for _ in range(w.number(1, 2)))) for _ in range(4)
    ]
    title = f"购物车({w.number(2, 99)})"
    if w.maybe(0.5):
        return phone(w, head(w, title, "管理", home=True), main(*shops), _cart_foot(w), nav(w, APP_NAV, 3))
    return phone(w, head(w, title, "管理"), main(*shops), _cart_foot(w))


@layout(CART)
def cart_being_tidied(w: World) -> Page:
    lines = [
        card(shop_line(w, w.any_shop()), _cart_line(w), _cart_line(w)),
        card(shop_line(w), _cart_line(w)),
    ]
    gone = card(
        f'<div class="row b" style="margin-bottom:8px">'
        f'<span class="grow">失效商品({w.number(1, 9)})</span><span class="a s">清空失效商品</span>'
        f"</div>",
        _cart_line(w, gone=True),
    )
    tools = foot(
        '<span class="dot"></span><span class="grow">全选</span>', button("移入收藏"), button("删除", "a")
    )
    return phone(w, head(w, f"购物车({w.number(2, 60)})", "完成"), main(*lines, gone), tools)


@layout(CART)
def cart_with_topping_up(w: World) -> Page:
    """A cart that asks to order a little more for the next discount."""
    ask = (
        f'<div class="row s" style="padding:8px 14px;background:var(--soft)">'
        f'<span class="grow">再买¥{w.number(3, 60)}可减¥{w.number(10, 40)}</span>'
        f'<span class="a">去凑单 ›</span></div>'
    )
    filters = (
        '<div class="row s" style="padding:8px 12px"><span class="pill on">全部</span>'
        '<span class="pill">降价</span><span class="pill">常买</span><span class="pill">已失效'
        "</span></div>"
    )
    lines = "".join(f'<div class="flat">{_cart_line(w)}</div>' for _ in range(5))
    return phone(
        w,
        head(w, "购物车", f"共{w.number(3, 80)}件", home=True),
        filters,
        ask,
        main(lines),
        _cart_foot(w),
        nav(w, APP_NAV, 3),
    )


def _confirm(w: World) -> str:
    """The page on which an order is confirmed: what lies behind a failure."""
    goods = w.goods()
    where = card(f'<div class="b">{w.person()} {w.phone()}</div><div class="g s">{w.address()}</div>')
    rows = pairs(
        (
            ("配送", w.pick(("普通配送 免运费", "快递 ¥8.00"))),
            ("店铺优惠", f"-¥{w.number(1, 40)}"),
            ("订单备注", "无备注"),
        )
    )
    bar = foot(f'<span class="grow">合计：{price(w, goods.price)}</span>', button("提交订单", "full"))
    return head(w, "确认订单") + main(where, card(shop_line(w), goods_row(w, goods), rows)) + bar


def _why(w: World) -> tuple[str, str]:
    """Title and reason of a failure."""
    return (
        w.pick(("购买失败", "下单失败", "无法购买", "下单异常", "购买失败")),
        w.pick(
            (
                "您选购的商品库存不足，请重新选择",
                "该商品已超出限购数量，每人最多购买2件",
                "收货地址不支持配送，请更换地址后再试",
                "当前账号存在风险，暂时无法购买该商品",
                "活动太火爆了，请稍后再试",
                "商品信息已变更，请返回重新下单",
                "优惠已失效，订单提交失败，请刷新后重试",
                "该商品已下架，看看其他的吧",
                "系统繁忙，下单异常，请稍后重试(B0301)",
            )
        ),
    )


def _behind(w: World) -> str:
    return w.pick(
        (_confirm, _confirm, lambda w: head(w, w.goods().name) + main(picker_sheet(w)) + buy_bar(w))
    )(w)


@layout(FAILURE)
def failure_box(w: World) -> Page:
    title, reason = _why(w)
    buttons = w.pick(
        (("我知道了",), ("返回", "重新下单"), ("取消", "修改地址"), ("查看其他商品", "知道了"), ("确定",))
    )
    row = "".join(
        f'<span class="grow {"a b" if at == len(buttons) - 1 else ""}" style="padding:11px">{word}</span>'
        for at, word in enumerate(buttons)
    )
    mark = alarm(w.theme.accent) if w.maybe(0.3) else ""
    box = (
        f'<div class="box" style="top:{w.height // 2 - 90}px">'
        f'<div style="padding:20px 18px">{mark}<div class="b l" style="margin-bottom:8px">'
        f'{title}</div><div class="g">{reason}</div></div>'
        f'<div class="row" style="border-top:1px solid var(--l);gap:0">{row}</div></div>'
    )
    return phone(w, _behind(w), '<div class="scrim over"></div>', box)


@layout(FAILURE)
def failure_toast(w: World) -> Page:
    title, reason = _why(w)
    words = w.pick((f"{title}，{reason}", f"{title}<br>{reason}"))
    toast = f'<div class="toast" style="top:{w.height // 2 - w.number(10, 60)}px">{words}</div>'
    return phone(w, _confirm(w), toast)


@layout(FAILURE)
def failure_sheet(w: World) -> Page:
    """A panel from below with the articles that cannot be bought."""
    title, reason = _why(w)
    goods = "".join(
        goods_row(w, w.goods(), side=60) + '<div class="rule"></div>' for _ in range(w.number(1, 2))
    )
    sheet = (
        f'<div class="sheet" style="padding:14px"><div class="c b l">{title}</div>'
        f'<div class="c g s" style="margin:4px 0 12px">{reason}</div>{goods}'
        f'<div class="row"><span class="wide line2 grow" style="margin:0">'
        f'{w.pick(("返回购物车", "取消"))}</span><span class="wide grow" style="margin:0">'
        f"{w.pick(('移除并继续', '换一件', '修改地址'))}</span></div></div>"
    )
    return phone(w, _confirm(w), '<div class="scrim"></div>', sheet)


def _facts(w: World, state: str) -> str:
    hours = w.number(30, 200)
    number = w.order_number()
    rows = [
        ("订单编号", f'{number} <span class="a s">复制</span>'),
        (w.pick(("创建时间", "下单时间")), w.stamp(hours)),
    ]
    if state != "等待买家付款":
        rows += [("付款时间", w.stamp(hours - 1)), (w.pick(("交易号", "支付流水")), w.digits(24))]
    if state in ("卖家已发货", "交易成功"):
        rows += [("发货时间", w.stamp(hours - 20))]
    if state == "交易成功":
        rows += [("成交时间", w.stamp(1))]
    if w.maybe(0.5):
        rows += [("交易快照", "发生交易争议时可作为判断依据 ›")]
    return card(
        f'<div class="b">{w.pick(("订单信息", "订单信息", "更多信息"))}</div>', pairs(rows, near=w.maybe(0.5))
    )


def _sum(w: World, amount: float) -> str:
    off = w.number(1, 30)
    label = w.pick(("实付款", "实付款", "实付款(含运费)"))
    return pairs(
        (
            ("商品总价", f"¥{amount + off:.2f}"),
            ("运费", w.pick(("¥0.00", "包邮", "¥0.00"))),
            ("店铺优惠", f"-¥{off}.00"),
        )
    ) + pairs(((f'<span style="color:var(--i)">{label}</span>', price(w, amount)),))


_STATES = {
    "等待买家付款": ("剩余23小时48分自动关闭", ("取消订单", "修改地址", "付款")),
    "等待卖家发货": ("买家已付款，商家正在备货", ("申请退款", "催发货", "修改地址")),
    "卖家已发货": ("剩余6天23时自动确认", ("申请售后", "延长收货", "查看物流", "确认收货")),
    "交易成功": ("感谢您的购买，期待再次光临", ("申请售后", "查看物流", "再买一单")),
    "交易关闭": ("订单已取消，款项未扣除", ("删除订单", "再次购买")),
}


@layout(ORDER)
def order(w: World) -> Page:
    state = w.pick(tuple(_STATES))
    note, buttons = _STATES[state]
    goods = w.goods()
    top = (
        f'<div style="padding:14px 16px;background:{w.theme.accent};color:#fff">'
        f'<div class="xl b">{state}</div><div class="s">{note}</div></div>'
    )
    where = card(
        f'<div class="row"><span class="tag">收货</span><div class="grow"><b>{w.person()}</b> '
        f'<span class="g">{w.phone()}</span><div class="s">{w.address()}</div></div></div>'
    )
    bought = card(
        shop_line(w),
        goods_row(w, goods, count=w.number(1, 3), tags=("7天无理由退货",) * w.maybe(0.5)),
        '<div class="rule"></div>',
        _sum(w, goods.price),
    )
    tail = foot(*(button(word, "a" if word == buttons[-1] else "") for word in buttons[-3:]), end=True)
    return phone(
        w, head(w, "订单详情", fill=w.theme.accent), top, main(where, bought, _facts(w, state)), tail
    )


@layout(ORDER)
def plain_order(w: World) -> Page:
    """The same without a coloured head; the parcel's last step stands over the address."""
    state = w.pick(("卖家已发货", "交易成功", "等待卖家发货"))
    note, buttons = _STATES[state]
    where = f'<div class="b">{w.person()} {w.phone()}</div><div class="g s">{w.address()}</div>'
    last_steps = (
        ("您的快件已由门卫代收", "包裹已签收，签收人：本人", "您的快件已在驿站取出")
        if state == "交易成功"
        else ("快件正在运往目的地", "快件已到达派件网点", "包裹正在等待揽收")
    )
    parcel = (
        f'<div class="row" style="margin-bottom:10px"><span class="tag soft">{w.courier()}'
        f'</span><span class="grow s">'
        f"{w.pick(last_steps)} ›</span></div>"
    )
    goods = [w.goods() for _ in range(w.number(1, 2))]
    lines = '<div style="height:10px"></div>'.join(goods_row(w, item) for item in goods)
    status = (
        f'<div class="l b" style="padding:6px 16px">{state}'
        f'<div class="g s" style="font-weight:normal">{note}</div></div>'
    )
    body = main(
        status,
        card(parcel if state != "等待卖家发货" else "", where),
        card(shop_line(w), lines, _sum(w, sum(item.price for item in goods))),
        _facts(w, state),
    )
    return phone(
        w,
        head(w, w.pick(("订单详情", "", "订单详情")), "客服"),
        body,
        foot(*(button(word) for word in buttons[:3]), end=True),
    )


@layout(ORDER)
def order_scrolled_down(w: World) -> Page:
    """The lower end of an order: sums, numbers, times, service."""
    state = w.pick(("交易成功", "卖家已发货"))
    goods = w.goods()
    service = card(
        pairs((("联系商家", "›"), ("申请售后", "›"), ("开具发票", w.pick(("未开票", "电子普通发票")))))
    )
    more = card(f'<div class="b">{state}</div>', goods_row(w, goods), _sum(w, goods.price))
    return phone(
        w,
        head(w, "订单详情"),
        main(
            more,
            _facts(w, state),
            service,
            card('<div class="c g">—— 你可能还喜欢 ——</div>', goods_row(w, w.goods())),
        ),
        foot(button("更多"), button("查看物流"), button("评价", "a"), end=True),
    )
