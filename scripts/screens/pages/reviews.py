"""Reviews: of an article, one's own, and the form to write one."""

from __future__ import annotations

from screens import words
from screens.frame import button, card, face, foot, goods_row, head, main, phone, picture, tabs
from screens.layouts import Page, layout
from screens.world import World

LABEL = "评论区截图页面"


def _stars(count: int, side: int = 14) -> str:
    shape = "M12 2l3 6.3 6.9.8-5.1 4.7 1.4 6.8L12 17.2 5.8 20.6l1.4-6.8L2.1 9.1 9 8.3z"
    return "".join(
        f'<svg width="{side}" height="{side}" viewBox="0 0 24 24">'
        f'<path d="{shape}" fill="{"#ff9a00" if at < count else "#ccc"}"/></svg>'
        for at in range(5)
    )


def _review(w: World) -> str:
    goods = w.goods()
    shots = "".join(picture(w, w.goods(goods.kind), 84) for _ in range(w.pick((0, 0, 2, 3))))
    poor = w.maybe(0.25)
    text = w.pick(words.POOR_REVIEWS if poor else words.REVIEWS)
    more = "" if poor or w.maybe(0.6) else w.pick(words.REVIEWS)
    answer = (
        f'<div class="input s" style="margin-top:6px">商家回复：'
        f"{w.pick(('感谢您的支持，欢迎再次光临。', '非常抱歉，已为您安排补发。', '亲的认可是动力。'))}</div>"
    )
    again = (
        f'<div class="s a" style="margin-top:4px">{w.number(2, 30)}天后追加评价</div>'
        f"<div>{w.pick(words.REVIEWS)}</div>"
    )
    return (
        f'<div class="line"><div class="row">{face(w, 32)}<div class="grow"><div>{w.nick()}'
        f'</div><div class="g xs">{w.day(w.number(24, 4000))} '
        f"{goods.colour} {goods.size}</div></div>{_stars(w.number(1, 3) if poor else w.number(4, 5))}</div>"
        f'<div style="margin:6px 0">{text}{more}</div><div class="row">{shots}</div>'
        f"{again if w.maybe(0.3) else ''}{answer if w.maybe(0.45) else ''}</div>"
    )


@layout(LABEL)
def review_list(w: World) -> Page:
    rate = w.number(82, 99)
    marks = "".join(
        f'<span class="pill{" on" if at == 0 else ""}">{name}{w.number(3, 900) if at else ""}</span>'
        for at, name in enumerate(
            [
                "全部评价",
                *w.some(
                    ("有图/视频", "追加评价", "质量很好", "尺码合适", "颜色好看", "物流快", "差评", "中评"), 5
                ),
            ]
        )
    )
    top = card(
        f'<div class="row b"><span class="grow">宝贝评价({w.number(30, 9000)})</span>'
        f'<span class="a s">好评率{rate}%</span></div><div style="margin-top:8px">{marks}</div>'
    )
    return phone(
        w, head(w, w.pick(("评价", "商品评价", "全部评价"))), main(top, card(*(_review(w) for _ in range(6))))
    )


@layout(LABEL)
def review_tab(w: World) -> Page:
    bar = tabs(("宝贝", "评价", "详情", "推荐"), 1)
    sort = (
        '<div class="row s g" style="padding:8px 14px"><span class="a">默认排序</span><span>最新'
        '</span><span>有图</span><span class="grow right">全部评价 ›</span></div>'
    )
    return phone(
        w,
        bar,
        sort,
        main(card(*(_review(w) for _ in range(6)))),
        foot(button("加入购物车"), button("立即购买", "full"), end=True),
    )


@layout(LABEL)
def own_review(w: World) -> Page:
    """One's own review with its answer and the button to add to it."""
    goods = w.goods()
    buttons = foot(button("修改评价"), button("追加评价", "a"), button("分享"), end=True)
    shown = card(
        f'<div class="row">{face(w)}<div class="grow"><b>{w.nick()}</b>'
        f'<div class="g xs">{w.stamp(w.number(5, 600))}</div></div>'
        f'<span class="tag">{w.pick(("匿名评价", "已公开"))}</span></div>'
        f'<div style="margin:8px 0">描述相符 {_stars(w.number(4, 5))}</div>'
        f"<div>{w.pick(words.REVIEWS)}{w.pick(words.REVIEWS)}</div>"
        f'<div class="row" style="margin:8px 0">{picture(w, goods, 96)}'
        f"{picture(w, goods, 96)}</div>"
        f'<div class="g s">浏览{w.number(3, 600)}次 · 有用{w.number(0, 20)}</div>'
    )
    lists = card(*(_review(w) for _ in range(2))) if w.maybe(0.5) else ""
    return phone(
        w,
        head(w, w.pick(("我的评价", "评价详情", "我的评价"))),
        main(shown, card(goods_row(w, goods)), lists),
        buttons,
    )


@layout(LABEL)
def review_form(w: World) -> Page:
    goods = w.goods()
    rates = "".join(
        f'<div class="row" style="padding:6px 0"><span style="width:80px">{name}'
        f"</span>{_stars(w.number(1, 5), 22)}</div>"
        for name in ("描述相符", "物流服务", "服务态度")
    )
    words_of_hint = w.pick(
        (
            "从多个角度评价宝贝，可以帮助更多想买的人",
            "宝贝满足你的期待吗？说说你的使用心得",
            "说说哪里好，哪里不好",
        )
    )
    text = w.pick((words_of_hint, w.pick(words.REVIEWS)))
    plus = (
        '<div class="row" style="margin-top:10px"><span class="plus">添加图片</span>'
        '<span class="plus">添加视频</span></div>'
    )
    hide = (
        f'<div class="row" style="margin-top:10px"><span class="dot'
        f'{" on" if w.maybe(0.5) else ""}"></span><span>匿名评价</span>'
        f'<span class="g s">你的昵称将以匿名显示</span></div>'
    )
    form = card(
        goods_row(w, goods, side=56),
        rates,
        f'<div class="input" style="height:110px">{text}</div>{plus}{hide}',
    )
    return phone(
        w,
        head(w, w.pick(("发表评价", "评价宝贝", "写评价")), "发布"),
        main(form),
        f'<div class="wide">{w.pick(("发表评价", "提交评价"))}</div>',
    )
