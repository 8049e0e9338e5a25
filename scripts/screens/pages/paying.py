"""Paying: the till, its panels, the result, and the parcel that one sends and has paid the freight of."""

from __future__ import annotations

from screens.drawings import icon, tick
from screens.frame import button, card, foot, head, main, pairs, phone, price, status_bar
from screens.layouts import Page, layout
from screens.pages.buying import _confirm
from screens.world import World

LABEL = "支付页面"


def _ways(w: World) -> str:
    ways = w.some(
        (
            ("账户余额", f"可用余额 ¥{w.amount(0, 300):.2f}"),
            (w.bank(), w.pick(("", "建议使用，支付更快", "随机立减最高10元"))),
            (w.bank(), "单日限额5万元"),
            ("先用后付", "0元下单，确认收货后再付"),
            ("分期付", f"免息3期，每期 ¥{w.amount(20, 200):.2f}"),
            ("找朋友帮忙付", ""),
            ("添加银行卡付款", ""),
        ),
        w.number(3, 5),
    )
    return "".join(
        f'<div class="row line">{icon(w.rng, colour=w.theme.accent)}<div class="grow">'
        f'<div>{name}</div><div class="g xs">{note}</div></div>'
        f'<span class="dot{" on" if at == 0 else ""}"></span></div>'
        for at, (name, note) in enumerate(ways)
    )


@layout(LABEL)
def till(w: World) -> Page:
    amount = w.amount()
    left = f"支付剩余时间 {w.number(0, 29):02}:{w.number(0, 59):02}"
    top = (
        f'<div class="c" style="padding:24px 0 14px"><div class="g s">{left}</div>'
        f'<div class="xxl b"><span class="l">¥</span>{amount:.2f}</div>'
        f'<div class="g s">{w.shop}</div></div>'
    )
    pay = w.pick((f"确认付款 ¥{amount:.2f}", "确认付款", f"立即支付 ¥{amount:.2f}", "立即支付"))
    return phone(
        w,
        head(w, w.pick(("收银台", "收银台", "选择付款方式"))),
        main(top, card(_ways(w))),
        f'<div class="wide">{pay}</div>',
    )


@layout(LABEL)
def till_panel(w: World) -> Page:
    """The till as a panel over the order that is being confirmed."""
    amount = w.amount()
    sheet = (
        f'<div class="sheet"><div class="head"><span class="g">×</span>'
        f'<span class="t">{w.pick(("付款详情", "确认付款", "收银台"))}</span><span class="side">帮助'
        f"</span></div>"
        f'<div class="c xxl b" style="padding:6px">¥{amount:.2f}</div>'
        f'<div style="padding:4px 16px">{_ways(w)}</div>'
        f'<div class="wide">{w.pick(("立即支付", "确认付款", "立即付款"))}</div></div>'
    )
    return phone(w, _confirm(w), '<div class="scrim"></div>', sheet)


@layout(LABEL)
def password(w: World) -> Page:
    amount = w.amount()
    filled = w.number(0, 5)
    boxes = "".join(
        f'<span style="width:42px;height:42px;border:1px solid var(--l);display:inline-flex;'
        f'vertical-align:top;align-items:center;justify-content:center">'
        f"{'●' if at < filled else ''}</span>"
        for at in range(6)
    )
    keys = "".join(
        f'<div class="c xl" style="padding:9px;border:1px solid var(--l)">{key}</div>'
        for key in (*"123456789", "", "0", "×")
    )
    sheet = (
        f'<div class="sheet"><div class="c b l" style="padding:14px">请输入支付密码</div>'
        f'<div class="c g s">{w.shop}</div><div class="c xxl b">¥{amount:.2f}</div>'
        f'<div class="kv" style="padding:8px 24px"><span>付款方式</span><span>{w.bank()} ›'
        f'</span></div><div class="c" style="padding:10px 0">{boxes}</div>'
        f'<div class="c a s">忘记密码？</div>'
        f'<div style="display:grid;grid-template-columns:repeat(3,1fr);margin-top:12px">{keys}</div></div>'
    )
    return phone(w, _confirm(w), '<div class="scrim"></div>', sheet)


@layout(LABEL)
def paid(w: World) -> Page:
    """The result: a tick, the amount, whom it went to."""
    amount = w.amount()
    rows = w.some(
        (
            ("收款方", w.shop),
            ("付款方式", w.bank()),
            ("订单金额", f"¥{amount + 3:.2f}"),
            ("优惠", "-¥3.00"),
            ("支付时间", w.stamp()),
            ("交易单号", w.digits(22)),
        ),
        w.number(2, 5),
    )
    word = w.pick(("支付成功", "支付成功", "付款成功 支付成功"))
    top = (
        f'<div class="c" style="padding:30px 0 12px">'
        f"{tick(w.pick(('#1aad4b', w.theme.accent)))}"
        f'<div class="l b" style="margin:8px 0">{word}</div><div class="xxl b">¥{amount:.2f}'
        f"</div></div>"
    )
    pair = (
        f'<div class="row" style="justify-content:center;padding:12px">'
        f"{button(w.pick(('查看订单', '订单详情')))}{button(w.pick(('完成', '返回首页', '继续逛逛')), 'a')}"
        f"</div>"
    )
    return phone(w, head(w, w.pick(("支付结果", "支付成功", "")), "完成"), main(top, card(pairs(rows)), pair))


def _way_of_the_parcel(w: World) -> str:
    return "".join(
        f'<div class="row top" style="padding:7px 0">'
        f'<span class="badge" style="font-size:12px;padding:1px 6px">{mark}</span>'
        f'<div class="grow"><b>{w.person()}</b> <span class="g">{w.phone()}</span>'
        f'<div class="s">{w.address()}</div></div></div>'
        for mark in "寄收"
    )


@layout(LABEL)
def freight_paid(w: World) -> Page:
    """The order of a parcel that one sends: freight paid, no trace. Near to the parcel's pages."""
    freight, courier = w.amount(6, 48), w.courier()
    state = w.pick(("运费已支付", "支付成功", "运费已支付"))
    note = w.pick(("快递员将尽快上门取件", "包裹已交给快递员", f"{courier}已接单"))
    facts = pairs(
        [
            ("快递公司", courier),
            ("运单号", w.parcel_number(courier)),
            ("物品", w.pick(("衣物 1kg", "日用品 2kg", "文件", "数码产品 1.5kg", "食品 3kg"))),
            ("基础运费", f"¥{freight:.2f}"),
            ("实付运费", f'<b class="a">¥{freight:.2f}</b>'),
            ("付款方式", w.pick((w.bank(), "账户余额"))),
            ("付款时间", w.stamp(1)),
        ][: w.number(5, 7)]
    )
    top = (
        f'<div style="padding:16px;background:{w.theme.accent};color:#fff"><div class="row">'
        f'<div class="grow"><div class="xl b">{state}</div><div class="s">{note}</div></div>'
        f'<span class="xxl b">¥{freight:.2f}</span></div></div>'
    )
    bar = foot(button("申请开票"), button("联系快递员"), button("再寄一单", "a"), end=True)
    return phone(
        w,
        head(w, w.pick(("寄件订单", "寄件详情", "订单支付"))),
        top,
        main(card(_way_of_the_parcel(w)), card(facts)),
        bar,
    )


@layout(LABEL)
def freight_to_pay(w: World) -> Page:
    """The courier has weighed the parcel and asks for the freight."""
    freight, courier = w.amount(8, 60), w.courier()
    facts = pairs(
        (
            ("承运", courier),
            ("计费重量", f"{w.number(1, 9)}kg"),
            ("首重", "¥8.00"),
            ("续重", f"¥{freight - 8:.2f}"),
            ("优惠券", w.pick(("暂无可用", "-¥2.00"))),
        )
    )
    top = (
        f'<div class="c" style="padding:20px"><div class="g">待支付运费</div>'
        f'<div class="xxl b">¥{freight:.2f}</div></div>'
    )
    return phone(
        w,
        head(w, w.pick(("支付运费", "收银台"))),
        main(top, card(_way_of_the_parcel(w)), card(facts), card(_ways(w))),
        f'<div class="wide">立即支付 ¥{freight:.2f}</div>',
    )


@layout(LABEL)
def paid_in_colour(w: World) -> Page:
    """A result over a coloured ground, with presents below."""
    amount = w.amount()
    ground = f"linear-gradient({w.theme.accent},{w.theme.accent}88 40%,var(--b) 62%)"
    status = f'<div style="color:#fff">{status_bar(w)}</div>'
    top = (
        f'<div class="c w" style="padding:34px 0">{tick("#fff3")}<div class="xl b">支付成功'
        f"</div><div>{price(w, amount, 'w xl')}</div>"
        f'<div class="s">{w.pick(("商家将尽快为您发货", "预计3天内发货", "感谢您的支持"))}</div></div>'
    )
    gift = card(f'<div class="row"><b class="grow">送您一个红包</b>{button("拆开", "full")}</div>')
    return phone(
        w,
        status,
        main(top, gift, card(pairs((("收款方", w.shop), ("付款方式", w.bank()))))),
        '<div class="wide">完成</div>',
        back=ground,
        bare=True,
    )
