"""A shop's own pages."""

from __future__ import annotations

from screens.drawings import landscape_svg
from screens.frame import button, card, face, head, main, nav, phone, picture, price, tabs
from screens.layouts import Page, layout
from screens.world import World

LABEL = "店铺页面"
_NAV = ("店铺首页", "全部宝贝", "上新", "联系客服")


def _tile(w: World) -> str:
    goods = w.goods()
    return (
        f'<div class="card" style="--m:0;--p:0;padding:0 0 8px;overflow:hidden">'
        f'{picture(w, goods, 168, 150)}<div style="padding:6px 8px" class="col">'
        f'<span class="s">{goods.title}</span><span>{price(w, goods.price)} '
        f'<span class="g xs">{w.sold()}人付款</span></span></div></div>'
    )


def _top(w: World, tone: str = "") -> str:
    score = w.number(40, 50) / 10
    facts = w.pick((f"综合体验 {score} 分", f"综合体验{score} ★★★★★", f"店铺星级 · 综合体验 {score}"))
    fans = w.pick(
        (
            f"粉丝数 {w.number(1, 900)}.{w.number(0, 9)}万",
            f"{w.number(100, 9999)}粉丝",
            f"粉丝数{w.number(200, 9999)}",
        )
    )
    return (
        f'<div class="row" style="padding:10px 12px;{tone}">{face(w, 46)}'
        f'<div class="grow col"><b class="l">{w.shop}</b>'
        f'<span class="xs">{facts}</span><span class="xs">{fans}</span>'
        f"</div>{button(w.pick(('关注', '＋关注', '已关注')), 'full')}</div>"
    )


def _search(w: World) -> str:
    return (
        f'<div class="head" style="background:none">‹'
        f'<div class="grow input" style="padding:5px 11px;font-size:13px">'
        f'{w.pick(("搜索店铺内宝贝", "搜本店", "搜索本店商品"))}</div><span class="s">分类</span></div>'
    )


@layout(LABEL)
def shop_home(w: World) -> Page:
    art = (
        f'<div style="position:absolute;left:0;right:0;top:0;height:210px;opacity:.28">'
        f"{landscape_svg(w.rng)}</div>"
    )
    names = tabs(("首页", "全部宝贝", "新品", "买家秀"), w.number(0, 1))
    vip = card(
        f'<div class="row"><b class="grow">店铺会员</b><span class="s g">'
        f"{w.pick(('入会领10元券', '0元入会享专属价', '积分兑好礼'))}</span>{button('立即入会', 'a')}</div>"
    )
    grid = f'<div class="grid2">{"".join(_tile(w) for _ in range(6))}</div>'
    return phone(
        w,
        f'<div style="position:relative;flex:1;overflow:hidden">{art}'
        f'<div style="position:relative">{_search(w)}{_top(w)}{names}'
        f"{vip if w.maybe(0.6) else ''}{grid}</div></div>",
        nav(w, _NAV, 0),
    )


@layout(LABEL)
def all_articles(w: World) -> Page:
    sort = tabs(("综合", "销量", "新品", "价格"))
    grid = f'<div class="grid2">{"".join(_tile(w) for _ in range(8))}</div>'
    return phone(w, _search(w), _top(w), sort, main(grid), nav(w, _NAV, 1))


@layout(LABEL)
def shop_front_with_poster(w: World) -> Page:
    goods = w.goods()
    poster = (
        f'<div class="card w" style="background:linear-gradient(135deg,{w.theme.accent},hsl('
        f'{goods.hue} 60% 50%))"><div class="row"><div class="grow">'
        f'<div class="xl b">{w.pick(("掌柜推荐", "秋冬上新", "本店爆款", "新品首发"))}</div>'
        f'<div>{goods.name}</div><div class="s">{w.pick(("全店满199减20", "第二件半价", "关注有礼"))}'
        f"</div></div>"
        f"{picture(w, goods, 110)}</div></div>"
    )
    ranks = card(
        '<div class="b" style="margin-bottom:6px">掌柜推荐</div>',
        *(
            f'<div class="row line">{picture(w, item, 70)}<div class="grow col">'
            f"<span>{item.title}</span><span>{price(w, item.price)}</span>"
            f"</div>{button('去看看', 'a')}</div>"
            for item in (w.goods() for _ in range(4))
        ),
    )
    tone = f"background:{w.theme.accent};color:#fff"
    return phone(
        w,
        head(w, w.shop, "分享", fill=w.theme.accent),
        _top(w, tone),
        tabs(("首页", "全部宝贝", "活动", "新品")),
        main(poster, ranks),
        nav(w, _NAV, 0),
    )
