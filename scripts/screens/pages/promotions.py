"""Campaigns, and coupons that can be had."""

from __future__ import annotations

from screens.drawings import landscape_svg
from screens.frame import button, card, head, main, phone, picture, price, status_bar, tabs
from screens.layouts import Page, layout
from screens.world import World

CAMPAIGN, COUPONS = "活动页面", "优惠券领取页面"
_FEASTS = (
    "年货节",
    "年中狂欢",
    "开学焕新季",
    "金秋购物节",
    "双旦礼遇季",
    "春季上新",
    "会员日",
    "周年庆",
    "家装节",
    "百货节",
)


def _clock(w: World) -> str:
    parts = "".join(
        f'<span style="background:#222;color:#fff;border-radius:3px;padding:1px 4px">{number:02}</span>{sign}'
        for number, sign in ((w.number(0, 23), ":"), (w.number(0, 59), ":"), (w.number(0, 59), ""))
    )
    return f'<span class="s">{w.pick(("距结束", "距结束仅剩", "距结束"))} {parts}</span>'


def _race(w: World) -> str:
    goods, share = w.goods(), w.number(5, 98)
    bar = (
        f'<div style="position:relative;height:15px;border-radius:8px;background:#ffd9cc;'
        f'overflow:hidden;width:96px"><div style="width:{share}%;height:100%;'
        f'background:#ff7a45"></div><span class="xs" style="position:absolute;left:8px;'
        f'top:-1px;color:#7a2000">已抢{share}%</span></div>'
    )
    return (
        f'<div class="row line">{picture(w, goods, 84)}<div class="grow col">'
        f'<span>{goods.title}</span>{bar}<div class="row">'
        f'<span class="grow">{price(w, goods.price)}'
        f"</span>{button(w.pick(('马上抢', '立即抢', '马上抢')), 'full')}</div></div></div>"
    )


def _ground(w: World) -> str:
    hue = w.pick((0, 8, 340, 28, 265, 210))
    return f"linear-gradient(hsl({hue} 85% 52%),hsl({hue + 12} 90% 62%) 55%,hsl({hue} 60% 92%))"


@layout(CAMPAIGN)
def venue(w: World) -> Page:
    feast = w.pick(_FEASTS)
    top = (
        f'<div class="c w" style="padding:16px 10px">'
        f'<div style="font-size:38px;line-height:1.25" class="b">{feast}</div>'
        f'<div class="l">{w.pick(("主会场", "百货会场", "服饰会场", "家电会场"))} · '
        f"{w.pick(('每满300减50', '跨店满199减20', '全场低至5折', '前1小时半价'))}</div></div>"
    )
    rule = (
        '<span class="s w" style="position:absolute;right:0;top:70px;background:#0005;'
        'padding:2px 8px;border-radius:10px 0 0 10px">活动规则</span>'
    )
    places = "".join(
        f'<span class="pill on">{name}</span>' for name in ("限时秒杀", "爆款直降", "会场导航", "新品")
    )
    block = card(
        f'<div class="row" style="margin-bottom:4px"><b class="grow l">限时秒杀</b>{_clock(w)}</div>',
        *(_race(w) for _ in range(5)),
    )
    return phone(
        w,
        f'<div style="color:#fff">{status_bar(w)}</div>',
        rule,
        main(top, f'<div class="c">{places}</div>', block),
        back=_ground(w),
        bare=True,
    )


@layout(CAMPAIGN)
def flash_sale(w: World) -> Page:
    hours = "".join(
        f'<div class="c grow {"b" if at == 1 else "s"}" style="opacity:'
        f'{1 if at == 1 else 0.7}"><div class="l">{hour}:00</div><div class="xs">{state}'
        f"</div></div>"
        for at, (hour, state) in enumerate(
            ((8, "已结束"), (10, "抢购中"), (14, "即将开始"), (20, "即将开始"))
        )
    )
    bar = f'<div class="row w" style="background:{w.theme.accent};padding:8px">{hours}</div>'
    return phone(
        w,
        head(w, w.pick(("限时秒杀", "秒杀会场", "限时秒杀")), "活动规则", fill=w.theme.accent),
        bar,
        f'<div class="flat row" style="margin:0"><b class="grow">抢购进行中</b>{_clock(w)}</div>',
        main(card(*(_race(w) for _ in range(7)))),
    )


@layout(CAMPAIGN)
def lottery(w: World) -> Page:
    prizes = w.some(
        (
            "5元红包",
            "谢谢参与",
            "免单机会",
            "10积分",
            "神秘礼盒",
            "2元红包",
            "运费券",
            "再来一次",
            "88元红包",
        ),
        8,
    )
    cells = [*prizes[:4], '<b class="w">开始<br>抽奖</b>', *prizes[4:]]
    grid = "".join(
        f'<div class="c" style="border-radius:10px;padding:24px 2px;background:'
        f'{"#e1251b" if at == 4 else "#fff6df"};color:#a13b00;min-height:74px">{cell}</div>'
        for at, cell in enumerate(cells)
    )
    board = (
        f'<div style="display:grid;grid-template-columns:repeat(3,1fr);gap:8px;'
        f'background:#ffcf6b;margin:10px 18px;padding:12px;border-radius:16px">{grid}</div>'
    )
    top = (
        f'<div class="c w" style="padding:14px"><div style="font-size:34px" class="b">'
        f"{w.pick(('天天抽奖', '幸运大转盘', '开心抽奖'))}</div><div>今日还有{w.number(0, 5)}次抽奖机会</div>"
        f"</div>"
    )
    tasks = card(
        "<b>做任务 得抽奖机会</b>",
        *(
            f'<div class="row line"><span class="grow">{task}</span>{button("去完成", "a")}</div>'
            for task in w.some(("浏览会场15秒", "邀请好友助力", "每日签到", "收藏店铺", "下单任意商品"), 4)
        ),
    )
    return phone(
        w, head(w, w.pick(_FEASTS), "活动规则", fill="#c8102e"), main(top, board, tasks), back=_ground(w)
    )


def _tile(w: World) -> str:
    goods = w.goods()
    buy = (
        f'<div class="row"><span class="grow">{price(w, goods.price)}</span>'
        f'<span class="pill on" style="margin:0">马上抢</span></div>'
    )
    return (
        f'<div class="card" style="--m:0;--p:0;padding:8px">{picture(w, goods, 152, 120)}'
        f'<div class="s">{goods.name}</div>{buy}</div>'
    )


@layout(CAMPAIGN)
def venue_of_tiles(w: World) -> Page:
    feast = w.pick(_FEASTS)
    art = (
        f'<div style="position:relative;height:170px">{landscape_svg(w.rng)}'
        f'<div class="c w" style="position:absolute;left:0;right:0;top:44px;text-shadow:0 '
        f'1px 4px #0009"><div style="font-size:32px" class="b">{feast}</div>'
        f"<div>{w.pick(('低价狂欢 限时开抢', '好物满减 逛起来', '万件好货 一站买齐'))}</div></div></div>"
    )
    grid = f'<div class="grid2">{"".join(_tile(w) for _ in range(6))}</div>'
    return phone(
        w,
        head(w, f"{feast}会场", "规则"),
        main(
            art,
            f'<div class="row" style="padding:8px 12px"><b class="grow">爆款直降</b>{_clock(w)}</div>',
            grid,
        ),
        tabs(("主会场", "品牌", "秒杀", "我的任务")),
    )


def _coupon(w: World, words: tuple[str, ...]) -> str:
    value = w.pick((3, 5, 8, 10, 15, 20, 30, 50, 88, 100))
    least = w.pick(
        (
            f"满{value * w.number(3, 9)}可用",
            f"满{value * 5}减{value}",
            "无门槛" if value < 15 else f"满{value * 4}可用",
        )
    )
    name = w.pick(
        (
            "店铺优惠券",
            "全品类通用券",
            "生鲜食品券",
            "数码家电补贴券",
            "新人专享券",
            "服饰鞋包券",
            "店铺优惠券",
        )
    )
    word = w.pick(words)
    off = word in ("已抢光", "已领取")
    shade = "#b9b9bd" if off else w.theme.accent
    limit = w.pick(("", " · 每人限领1张", " · 每人限领1张"))
    return (
        f'<div class="row" style="margin:9px 12px;background:var(--c);'
        f'border-radius:var(--r);overflow:hidden;gap:0">'
        f'<div class="c w" style="background:{shade};padding:16px 4px;width:98px">'
        f'<div class="b"><span class="s">¥</span><span class="xxl">{value}</span></div>'
        f'<div class="xs">{least}</div></div><div class="grow col" style="padding:0 10px">'
        f"<b>{name}</b>"
        f'<span class="g xs">{w.later(1).strftime("%Y.%m.%d")}-'
        f"{w.later(w.number(5, 40)).strftime('%Y.%m.%d')}{limit}</span></div>"
        f'<span style="padding-right:10px">{button(word, "off" if off else "full")}</span>'
        f"</div>"
    )


_WORDS = ("立即领取", "立即领取", "立即领取", "已抢光", "已领取", "去使用")


@layout(COUPONS)
def coupon_centre(w: World) -> Page:
    top = (
        f'<div class="c w" style="background:{w.theme.accent};padding:14px">'
        f'<div class="xxl b">{w.pick(("领券中心", "天天领券", "领券中心"))}</div>'
        f'<div class="s">先领券 再购物 每日10点更新</div></div>'
    )
    return phone(
        w,
        head(w, w.pick(("领券中心", "优惠券"))),
        top,
        tabs(("精选", "店铺券", "品类券", "运费券")),
        main(*(_coupon(w, _WORDS) for _ in range(7))),
    )


@layout(COUPONS)
def coupon_sheet(w: World) -> Page:
    """The panel that an article's page slides up."""
    goods = w.goods()
    behind = main(
        picture(w, goods, 360, 340), card(f"{price(w, goods.price)}<div class='b'>{goods.title}</div>")
    )
    sheet = (
        f'<div class="sheet" style="top:{w.number(180, 280)}px"><div class="head">'
        f'<span class="t">{w.pick(("领取优惠券", "优惠", "店铺优惠券"))}</span><span class="g">×</span>'
        f"</div>{''.join(_coupon(w, _WORDS) for _ in range(3))}"
        f'<div class="wide" style="position:absolute;bottom:0;left:0;right:0">'
        f"{w.pick(('一键领取', '一键领取并购买', '完成'))}</div></div>"
    )
    return phone(w, behind, '<div class="scrim"></div>', sheet)


@layout(COUPONS)
def coupons_of_a_shop(w: World) -> Page:
    grid = "".join(
        f'<div class="c" style="border:1px dashed var(--a);border-radius:8px;padding:9px '
        f'2px;color:var(--a)"><div class="b">¥<span class="xl">{value}</span></div>'
        f'<div class="xs">满{value * 8}可用</div><div class="pill on" style="margin:5px 0 0">'
        f"立即领取</div></div>"
        for value in w.some((5, 10, 20, 30, 50, 100), 3)
    )
    poster = card(
        f'<b class="l">{w.shop}</b><div class="g s">店铺优惠券 · 领券下单更划算</div>'
        f'<div style="display:grid;grid-template-columns:repeat(3,1fr);gap:8px;'
        f'margin-top:10px">{grid}</div>'
    )
    done = (
        f'<div class="toast" style="top:{w.height // 2}px">领取成功<br>'
        f'<span class="s">可在“我的优惠券”中查看</span></div>'
        if w.maybe(0.4)
        else ""
    )
    return phone(
        w,
        head(w, w.pick(("店铺优惠券", "优惠券"))),
        main(poster, *(_coupon(w, _WORDS) for _ in range(5))),
        done,
    )


@layout(COUPONS)
def coupon_pops_up(w: World) -> Page:
    """A box with a few coupons that opens over the first page."""
    lines = "".join(
        f'<div class="row" style="background:#fff5f0;border-radius:8px;margin:8px 0;'
        f'padding:8px 12px;color:#c8102e"><b class="xl">¥{value}</b>'
        f'<span class="grow s">满{value * 6}可用</span></div>'
        for value in w.some((5, 10, 20, 30, 50), 3)
    )
    box = (
        f'<div class="box" style="top:150px;background:linear-gradient(#ff5a3c,#ff8a5c);'
        f'color:#fff;padding:18px"><div class="xl b">{w.pick(("送您一个优惠券礼包", "新人礼包", "回归礼券"))}'
        f'</div><div class="s">共{w.number(15, 100)}元</div>{lines}'
        f'<div class="btn" style="background:#ffe08a;color:#a13b00;border:0;padding:8px '
        f'40px">{w.pick(("立即领取", "一键领取"))}</div></div>'
    )
    grid = "".join(
        f'<div class="card" style="--m:0;--p:0">{picture(w, goods, 140, 120)}{goods.name}</div>'
        for goods in (w.goods() for _ in range(6))
    )
    return phone(
        w,
        head(w, w.app, home=True),
        main(f'<div class="grid2">{grid}</div>'),
        '<div class="scrim"></div>',
        box,
    )
