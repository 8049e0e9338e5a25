"""Parcels: several in a list, one on its way, one in trouble."""

from __future__ import annotations

from screens.drawings import alarm, map_svg
from screens.frame import button, card, foot, head, main, phone, picture, tabs
from screens.layouts import Page, layout
from screens.world import World

LIST, TRACE, TROUBLE = "物流页面-物流列表页面", "物流页面-物流跟踪页面", "物流页面-物流异常页面"


def _news(w: World, state: str) -> str:
    city = w.city()
    return {
        "待取件": f"包裹已到{w.pick(('南门驿站', '小区快递柜', '校园服务点'))}，"
        f"取件码 {w.number(1, 30)}-{w.number(1, 9)}-{w.digits(4)}",
        "运输中": f"快件已到达【{city}转运中心】",
        "派送中": f"快递员正在派送，电话 {w.phone()}",
        "已签收": f"已签收，签收人：{w.pick(('本人', '家人', '门卫', '驿站代收'))}",
        "已发货": "商家已发货，等待揽收",
        "待揽收": "快递员将在今天18:00前上门取件",
    }[state]


def _parcel(w: World, state: str) -> str:
    courier = w.courier()
    goods = w.goods()
    return (
        f'<div class="row top">{picture(w, goods, 58)}<div class="grow col">'
        f'<div class="row"><b class="grow a">{state}</b>'
        f'<span class="g xs">{w.day(w.number(1, 300))}</span></div>'
        f'<span class="s">{courier} {w.parcel_number(courier)}</span>'
        f'<span class="g s">{_news(w, state)}</span></div></div>'
    )


def _states(w: World, count: int) -> list[str]:
    return [w.pick(("待取件", "运输中", "派送中", "已签收", "运输中", "已发货")) for _ in range(count)]


@layout(LIST)
def parcel_list(w: World) -> Page:
    names = w.pick(
        (("全部", "待取件", "运输中", "派送中", "已签收"), ("全部包裹", "待取件", "待签收", "已签收"))
    )
    title = w.pick(("查看物流", "我的快递", "我的包裹", "物流列表"))
    return phone(
        w,
        head(w, title, w.pick(("管理", "搜索", ""))),
        tabs(names, w.number(0, 1)),
        main(*(card(_parcel(w, state)) for state in _states(w, 7))),
    )


@layout(LIST)
def parcels_at_home(w: World) -> Page:
    """The courier page of the app: send, look up, and what is under way."""
    tools = "".join(
        f'<div class="col c"><span class="l">{picture(w, w.goods("box"), 36)}</span>'
        f'<span class="s">{name}</span></div>'
        for name in ("寄快递", "查快递", "取件码", "身份码")
    )
    top = card(
        f'<div class="input">{w.pick(("输入运单号查快递", "搜索运单号、商品名"))}</div>'
        f'<div class="row" style="justify-content:space-around;margin-top:12px">{tools}'
        f"</div>"
    )
    groups = (
        f'<div class="b" style="padding:4px 14px">{w.pick(("待取件", "我的快递"))} {w.number(1, 5)}</div>'
    )
    lines = card(*(f'<div class="line">{_parcel(w, state)}</div>' for state in ["待取件", *_states(w, 5)]))
    return phone(w, head(w, w.pick(("快递服务", "我的快递"))), main(top, groups, lines))


@layout(LIST)
def parcels_of_one_order(w: World) -> Page:
    """An order that was sent in several parcels, each with its last step."""
    count = w.number(2, 4)
    top = f'<div class="flat">该订单共拆分为 <b class="a">{count}个包裹</b> 发出，请留意每个包裹的物流</div>'
    blocks = [
        card(
            f'<div class="row"><b class="grow">包裹{at + 1}</b><span class="g s">查看物流 ›</span>'
            f'</div><div class="rule"></div>',
            _parcel(w, state),
        )
        for at, state in enumerate(_states(w, count))
    ]
    return phone(w, head(w, w.pick(("物流信息", "查看物流", "包裹列表"))), main(top, *blocks))


@layout(LIST)
def parcels_sent(w: World) -> Page:
    """Parcels that one sends oneself: near to the page of a freight that was paid."""
    blocks = []
    for _ in range(5):
        courier = w.courier()
        state = w.pick(("待揽收", "运输中", "已签收", "待付款"))
        fee = f"运费 ¥{w.amount(6, 40):.2f}"
        blocks.append(
            card(
                f'<div class="row"><span class="grow s">{courier} {w.parcel_number(courier)}</span>'
                f'<b class="a">{state}</b></div>'
                f'<div class="row" style="padding:8px 0"><div class="grow c"><b class="l">{w.city()}'
                f'</b><div class="g s">{w.person()}</div></div><span class="g">———›</span>'
                f'<div class="grow c"><b class="l">{w.city()}</b><div class="g s">{w.person()}</div>'
                f"</div></div>"
                f'<div class="row g s"><span class="grow">{w.stamp(w.number(2, 900))}</span>'
                f"<span>{fee}</span></div>"
            )
        )
    return phone(
        w,
        head(w, w.pick(("我的快递", "寄件记录", "寄快递"))),
        tabs(("我寄的", "我收的", "待取件"), 0),
        main(*blocks),
        '<div class="wide">寄快递</div>',
    )


def _steps(w: World, states: list[tuple[str, str]], *, gap: int = 9) -> str:
    return "".join(
        f'<div class="time{" on" if at == 0 else ""}">'
        f'<div class="{"b a" if at == 0 else ""}">{state} '
        f'<span class="g xs" style="font-weight:normal">'
        f"{w.ago(at * gap + 1).strftime('%m-%d %H:%M')}</span></div>"
        f'<div class="s {"" if at == 0 else "g"}">{text}</div></div>'
        for at, (state, text) in enumerate(states)
    )


def _journey(w: World, courier: str) -> list[tuple[str, str]]:
    here, there = w.city(), w.city()
    whole = [
        ("已签收", f"您的快件已签收，签收人：{w.pick(('本人', '家门口', '驿站'))}。感谢使用{courier}"),
        ("派送中", f"【{here}】快递员{w.person()}正在派送，电话 {w.phone()}"),
        ("运输中", f"快件已到达【{here}转运中心】"),
        ("运输中", f"快件由【{there}转运中心】已发车，下一站【{here}】"),
        ("运输中", f"快件已到达【{there}转运中心】"),
        ("已揽收", f"【{there}】{courier}已揽收"),
        ("已发货", "商家已发货，等待快递揽收"),
        ("已下单", "您的订单已提交成功"),
    ]
    return whole[w.number(0, 3) :]


def _whose(w: World, courier: str) -> str:
    goods = w.goods()
    return card(
        f'<div class="row">{picture(w, goods, 54)}<div class="grow col">'
        f"<b>{courier}：{w.parcel_number(courier)}</b>"
        f'<span class="g s">官方电话 95{w.digits(3)} | 复制单号</span></div></div>'
    )


@layout(TRACE)
def trace(w: World) -> Page:
    courier = w.courier()
    view = (
        f'<div style="height:{w.number(130, 210)}px;overflow:hidden">{map_svg(w.rng)}</div>'
        if w.maybe(0.6)
        else ""
    )
    soon = (
        card(
            f'<b class="a">预计送达 {w.later(w.number(1, 3)).strftime("%m月%d日")}</b> '
            f'<span class="g s">送至 {w.pick(("收货地址", "小区驿站"))}</span>'
        )
        if w.maybe(0.5)
        else ""
    )
    return phone(
        w,
        head(w, w.pick(("物流详情", "物流详情", "查看物流", "物流信息"))),
        view,
        main(soon, _whose(w, courier), card(_steps(w, _journey(w, courier)))),
    )


@layout(TRACE)
def trace_over_a_map(w: World) -> Page:
    """The map behind, the trace on a panel, the address as its first line."""
    courier = w.courier()
    view = f'<div style="position:absolute;inset:0;height:{w.height // 2}px">{map_svg(w.rng)}</div>'
    place = (
        f'<div class="row" style="margin-bottom:10px"><span class="badge">收</span>'
        f'<span class="grow s">{w.address()}</span></div>'
    )
    panel = (
        f'<div class="sheet" style="top:{w.number(190, 270)}px;padding:14px">'
        f'<div class="b l">{courier} {w.parcel_number(courier)}</div><div class="rule">'
        f"</div>{place}{_steps(w, _journey(w, courier))}</div>"
    )
    title = head(w, w.pick(("物流详情", "订单跟踪"))).replace("var(--c)", "none;color:#222")
    bar = f'<div style="position:absolute;top:0;left:0;right:0;z-index:1;color:#222">{title}</div>'
    return phone(w, main(view, bar, panel))


@layout(TRACE)
def trace_of_a_parcel_sent(w: World) -> Page:
    """A parcel that one has sent: the freight stands there too, but the trace fills the page."""
    courier = w.courier()
    top = card(
        f'<div class="row"><div class="grow c"><b class="xl">{w.city()}</b>'
        f'<div class="g s">{w.person()}</div></div><div class="c a b">运输中<div>———›</div>'
        f'</div><div class="grow c"><b class="xl">{w.city()}</b>'
        f'<div class="g s">{w.person()}</div></div></div>'
    )
    fee = card(
        f'<div class="row"><span class="grow">实付运费</span><b>¥{w.amount(6, 40):.2f}</b>'
        f'<span class="g s">已付款 ›</span></div>'
    )
    steps = _journey(w, courier)[1:] or _journey(w, courier)
    return phone(
        w,
        head(w, w.pick(("寄件详情", "物流详情"))),
        main(
            top,
            card(f'<b>{courier} {w.parcel_number(courier)}</b><div class="rule"></div>{_steps(w, steps)}'),
            fee,
        ),
        foot(button("联系快递员"), button("再寄一单", "a"), end=True),
    )


def _trouble(w: World) -> tuple[str, str, str]:
    """What the head says, why, and the last step."""
    city = w.city()
    return w.pick(
        (
            (
                "物流异常",
                f"包裹已超过{w.pick((48, 72, 96))}小时未更新，可能存在延误",
                f"快件已到达【{city}转运中心】",
            ),
            ("派送失败", "收件人电话无法接通，请保持电话畅通", "派送失败，原因：无法联系收件人"),
            ("派送失败", "收货地址不详，请补充门牌号", "派送失败，原因：地址错误"),
            ("快件退回", "包裹正在退回寄件人，如有疑问请联系商家", "快件退回，原因：拒收"),
            ("包裹滞留", f"受天气影响，包裹在{city}滞留", "快件滞留，等待转运"),
            ("物流异常", "包裹疑似破损，快递公司正在核实", "问题件登记：外包装破损"),
            ("物流异常", "长时间未更新物流信息，包裹可能丢失", "快件已揽收，等待发往下一站"),
        )
    )


@layout(TROUBLE)
def trouble(w: World) -> Page:
    title, why, last = _trouble(w)
    courier = w.courier()
    tools = "".join(
        button(word, kind)
        for word, kind in zip(
            w.some(("催促派送", "投诉快递", "联系商家", "申请退款"), 2), ("a", ""), strict=True
        )
    )
    top = (
        f'<div style="padding:14px 16px;background:#fff4e0;color:#a14a00">'
        f'<div class="l b">{title}</div><div class="s">{why}</div>'
        f'<div class="row" style="margin-top:10px">{tools}</div></div>'
    )
    steps = _steps(
        w, [(title, last), *[step for step in _journey(w, courier)[2:] if step[0] != "已签收"]], gap=30
    )
    return phone(
        w, head(w, w.pick(("物流信息", "物流详情", "查看物流"))), top, main(_whose(w, courier), card(steps))
    )


@layout(TROUBLE)
def trouble_with_a_mark(w: World) -> Page:
    title, why, last = _trouble(w)
    courier = w.courier()
    top = (
        f'<div class="c" style="padding:20px 20px 6px">{alarm("#f5a623")}'
        f'<div class="xl b" style="margin:6px 0">{title}</div><div class="g">{why}</div>'
        f"</div>"
    )
    steps = _steps(w, [(title, last), *_journey(w, courier)[-3:]], gap=26)
    return phone(
        w,
        head(w, w.pick(("物流详情", "包裹详情")), "客服"),
        main(top, _whose(w, courier), card(steps)),
        foot(button("催促派送", "a"), button("投诉快递", "full"), end=True),
    )


@layout(TROUBLE)
def trouble_as_a_notice(w: World) -> Page:
    """A trace with a notice over it, or a box that asks what to do."""
    title, why, last = _trouble(w)
    courier = w.courier()
    box = (
        f'<div class="box" style="top:{w.height // 2 - 110}px;padding:18px">'
        f'<div class="b l">{title}</div><div class="g" style="margin:8px 0 14px">{why}，'
        f'是否需要平台帮您催促？</div><div class="row"><span class="grow btn c">暂不处理</span>'
        f'<span class="grow btn full c">催促派送</span></div></div>'
    )
    steps = _steps(w, [(title, last), *_journey(w, courier)[-4:]], gap=24)
    body = main(_whose(w, courier), card(steps))
    if w.maybe(0.5):
        return phone(w, head(w, "物流详情"), body, '<div class="scrim"></div>', box)
    strip = (
        f'<div class="row s" style="padding:9px 14px;background:#fdecea;color:#b3261e">'
        f'{alarm("#b3261e", 20)}<span class="grow">{title}：{why}</span></div>'
    )
    return phone(
        w, head(w, "物流详情"), strip, body, foot(button("投诉快递"), button("联系客服", "a"), end=True)
    )
