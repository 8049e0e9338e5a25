"""An article's page: its first screen, what stands further down, and the picker of colour and size."""

from __future__ import annotations

from screens import words
from screens.drawings import goods_svg, icon
from screens.frame import button, card, face, foot, head, main, pairs, phone, picture, price, tabs
from screens.layouts import Page, layout
from screens.world import Goods, World

FIRST, BELOW, PICKER = "商品头图", "商品详情页截图", "商品分类选项"


def buy_bar(w: World) -> str:
    """The bar at the bottom of an article's page."""
    places = "".join(
        f'<div class="c xs" style="min-width:34px">{icon(w.rng, side=19)}<div>{name}</div></div>'
        for name in w.pick((("店铺", "客服", "收藏"), ("首页", "客服", "购物车"), ("客服", "收藏")))
    )
    pair_of = w.pick((("加入购物车", "立即购买"), ("加入购物车", "领券购买"), ("加购物车", "立即抢购")))
    pair = "".join(
        f'<span class="grow c" style="background:var({tone});color:#fff;padding:10px 4px;'
        f'white-space:nowrap">{word}</span>'
        for word, tone in zip(pair_of, ("--s", "--a"), strict=True)
    )
    return foot(
        places, f'<div class="grow row" style="gap:0;border-radius:var(--br);overflow:hidden">{pair}</div>'
    )


def _large(w: World, goods: Goods, height: int, *, slogans: bool = True) -> str:
    """The picture over the whole width, with its page number and at times a slogan."""
    pages = w.number(4, 9)
    number = (
        f'<span style="position:absolute;right:12px;bottom:12px;background:#0007;color:#fff;'
        f"border-radius:10px;"
        f'padding:1px 9px;font-size:12px">{w.number(1, pages)}/{pages}</span>'
    )
    slogan = w.pick(
        ("", "", "买一送一", "全国联保", "领券立减20元", "顺手带走", "送运费险", "48小时发货", "破损包赔")
    )
    band = (
        slogans
        and slogan
        and (
            f'<div style="position:absolute;left:0;right:0;bottom:0;background:{w.theme.accent};color:#fff;'
            f'padding:5px 12px;font-size:17px" class="b">{slogan}</div>'
        )
    )
    svg = goods_svg(goods.kind, goods.hue, w.rng, wide=height < 360)
    return (
        f'<div class="pic" style="height:{height}px;border-radius:0">{svg}{band or ""}'
        f"{number if slogans else ''}</div>"
    )


def _price_line(w: World, goods: Goods) -> str:
    before = f'<span class="g s" style="text-decoration:line-through">¥{goods.price * 1.6:.0f}</span>'
    label = w.pick(("券后价", "到手价", "", "活动价", "拼团价"))
    sold = w.pick((f"已售{w.sold()}", f"已售 {w.sold()}", f"月销{w.sold()}", f"{w.sold()}人付款"))
    return (
        f'<div class="row"><span class="a s">{label}</span>'
        f'<span class="xl">{price(w, goods.price)}</span>{before}'
        f'<span class="grow right g s">{sold}</span></div>'
    )


def _promises(w: World) -> str:
    chosen = w.some(
        ("7天无理由退货", "运费险", "假一赔四", "极速退款", "48小时发货", "正品保证", "包邮"), w.number(2, 4)
    )
    return "".join(f'<span class="tag">{promise}</span>' for promise in chosen)


def _choice_line(w: World, goods: Goods) -> str:
    return card(
        pairs(
            (
                ("选择", f"{goods.colour} / {goods.size} 等{len(goods.colours) * len(goods.sizes)}种可选 ›"),
                ("发货", f"{w.city()} | 快递：{w.pick(('免运费', '包邮', '¥6.00'))}"),
                ("服务", "7天无理由 · 极速退款 ›"),
            )[: w.number(1, 3)],
            near=True,
        )
    )


@layout(FIRST)
def first_screen(w: World) -> Page:
    goods = w.goods()
    title = (
        f'<div class="b l" style="margin:6px 0">{w.pick(("", "", "【官方】", "【包邮】"))}{goods.title}</div>'
    )
    body = main(
        _large(w, goods, w.number(330, 400)),
        card(_price_line(w, goods), title, _promises(w)),
        _choice_line(w, goods),
    )
    return phone(w, body, buy_bar(w))


@layout(FIRST)
def first_screen_with_tabs(w: World) -> Page:
    goods = w.goods()
    bar = tabs(("宝贝", "评价", "详情", "推荐"))
    sale = (
        f'<div class="row w" style="background:linear-gradient(90deg,'
        f'{w.theme.accent},#ff3366);padding:10px 14px">'
        f'<span class="xxl b">¥{goods.price:.0f}</span>'
        f'<span class="grow s">{w.pick(("限时优惠", "限量抢购", "新人专享"))}</span>'
        f'<span class="s">已售{w.sold()}</span></div>'
    )
    title = (
        f'<div class="flat"><div class="b l">{goods.title}</div><div class="g s">{w.shop}'
        f"</div>{_promises(w)}</div>"
    )
    return phone(
        w, bar, main(_large(w, goods, w.number(320, 370)), sale, title, _choice_line(w, goods)), buy_bar(w)
    )


@layout(FIRST)
def first_screen_of_a_video(w: World) -> Page:
    """The picture fills the screen; price and buttons lie over it."""
    goods = w.goods()
    over = (
        f'<div class="row w" style="padding:0 12px">{face(w, 32)}<b>{w.shop}</b>'
        f"{button('关注', 'full')}</div>"
        f'<div style="margin:8px 12px;background:#fffd;color:#222;border-radius:10px;'
        f'padding:10px" class="row top">'
        f'{picture(w, goods, 62)}<div class="grow col"><b>{goods.title}</b><span>{price(w, goods.price)} '
        f'<span class="s" style="color:#777">已售{w.sold()}</span></span></div></div>'
    )
    frame = (
        f'<div style="position:absolute;left:0;right:0;bottom:0;padding:60px 0 6px;'
        f'background:linear-gradient(#0000,#000a)">{over}</div>'
    )
    return phone(w, main(_large(w, goods, w.height - 80, slogans=False), frame), buy_bar(w))


@layout(BELOW)
def parameters(w: World) -> Page:
    goods = w.goods()
    rows = w.some(
        (
            ("品牌", w.shop[:2]),
            ("材质", w.pick(words.MATERIALS[goods.kind])),
            ("产地", f"中国{w.place()[0]}"),
            ("货号", w.digits(7)),
            ("适用季节", w.pick(("四季通用", "秋冬", "夏季"))),
            ("颜色分类", "、".join(goods.colours[:3])),
            ("规格", "、".join(goods.ordered_sizes[:3])),
            ("上市时间", w.day(3000)),
            *(
                (("净含量", f"{w.number(2, 20) * 50}g"), ("保质期", w.pick(("12个月", "18个月", "3年"))))
                if goods.kind in ("bottle", "fruit")
                else ()
            ),
            ("适用人群", w.pick(("通用", "儿童", "成人"))),
        ),
        w.number(6, 10),
    )
    title = w.pick(("产品参数", "商品参数", "产品参数"))
    text = card(f'<div class="b l">{title}</div>', pairs(rows, near=w.maybe(0.5)))
    more = card(
        '<div class="b">保障服务</div>',
        f'<div class="s g">{w.pick(("7天无理由退货", "退货运费险", "极速退款"))} · 正品保证</div>',
    )
    bar = (
        tabs(("宝贝", "评价", "详情", "推荐"), 2)
        if w.maybe(0.5)
        else head(w, w.pick(("产品参数", "商品详情")))
    )
    image = _large(w, goods, 260) if w.maybe(0.5) else ""
    return phone(
        w,
        bar,
        main(text, more, image),
        buy_bar(w) if w.maybe(0.5) else f'<div class="wide">{w.pick(("完成", "确定"))}</div>',
    )


@layout(BELOW)
def pictures_with_words(w: World) -> Page:
    """The long picture that the seller wrote: headings, drawings, claims."""
    goods = w.goods()
    claims = w.some(
        (
            ("甄选原料", "层层把关，安心使用"),
            ("细节展示", "做工精细，走线平整"),
            ("加厚底部", "承重力强，不易变形"),
            ("贴心设计", "握感舒适，收纳方便"),
            ("亲肤柔软", "不起球不掉色"),
            ("实拍对比", "左侧为普通款，右侧为本店"),
            ("温馨提示", "手工测量误差1-3cm"),
        ),
        3,
    )
    blocks = "".join(
        f'<div class="c" style="padding:14px 10px;background:hsl({goods.hue} 30% 95%);'
        f'color:#333"><div class="xl b">{claim}</div>'
        f'<div class="s" style="color:#777">{line}</div>'
        f"</div>{_large(w, w.goods(goods.kind), w.number(180, 250))}"
        for claim, line in claims
    )
    title = (
        f'<div class="c g" style="padding:10px">—— {w.pick(("图文详情", "宝贝详情", "图文详情"))} ——</div>'
    )
    bar = tabs(("宝贝", "评价", "详情", "推荐"), 2) if w.maybe(0.7) else head(w, goods.name)
    return phone(w, bar, main(title, blocks), buy_bar(w) if w.maybe(0.7) else "")


@layout(BELOW)
def size_table(w: World) -> Page:
    goods = w.goods(w.pick(("shirt", "shoe")))
    names = ("尺码", "衣长", "胸围", "肩宽") if goods.kind == "shirt" else ("尺码", "脚长", "脚宽", "鞋高")
    start = w.number(60, 68)
    rows = [names] + [
        (size, *(str(start + at * 2 + column * 19) for column in range(3)))
        for at, size in enumerate(goods.ordered_sizes)
    ]
    cells = "".join(
        f'<div class="c" style="padding:8px 2px;border:1px solid var(--l)">{cell}</div>'
        for row in rows
        for cell in row
    )
    table = f'<div style="display:grid;grid-template-columns:repeat(4,1fr);margin-top:8px">{cells}</div>'
    note = '<div class="g s" style="margin-top:8px">单位：厘米。因测量方法不同，误差1-3厘米属正常。</div>'
    service = card(
        '<div class="b">价格说明</div>',
        '<div class="g s">划线价：商品的吊牌价或曾经展示过的销售价，并非原价，仅供参考。</div>',
    )
    bar = tabs(("宝贝", "评价", "详情", "推荐"), 2)
    return phone(
        w,
        bar,
        main(card(f'<div class="b l">尺码表</div>{table}{note}'), _large(w, goods, 200), service),
        buy_bar(w),
    )


@layout(BELOW)
def questions(w: World) -> Page:
    """Questions to buyers and the shop's card, between the first screen and the pictures."""
    goods = w.goods()
    asked = "".join(
        f'<div class="line"><div><span class="tag soft">问</span>{question}</div>'
        f'<div class="g s">{answer}</div></div>'
        for question, answer in w.some(
            (
                ("会掉色吗？", "洗了三次没掉。"),
                ("尺码标准吗？", "偏小一点，建议大一码。"),
                ("有味道吗？", "通风两天就没有了。"),
                ("老人能用吗？", "能，字很大。"),
                ("发货快不快？", "第二天就发了。"),
                ("坏了怎么办？", "找店家换就行。"),
            ),
            3,
        )
    )
    shop = card(
        f'<div class="row">{face(w, 44)}<div class="grow col"><b>{w.shop}</b>'
        f'<span class="g s">宝贝描述 {w.number(45, 50) / 10} '
        f"卖家服务 {w.number(45, 50) / 10}</span></div>{button('进店逛逛', 'a')}</div>"
    )
    service = card('<div class="b">保障服务</div>', _promises(w))
    count = w.number(6, 90)
    ask = card(
        f'<div class="row"><b class="grow">问大家({count})</b><span class="g s">查看全部 ›</span>'
        f"</div>{asked}"
    )
    parts = [service, ask, shop, _large(w, goods, 220)]
    return phone(w, tabs(("宝贝", "评价", "详情", "推荐"), w.number(0, 2)), main(*parts), buy_bar(w))


def _options(w: World, names: tuple[str, ...], chosen: str) -> str:
    gone = w.pick((*names, "", ""))
    return "".join(
        f'<span class="opt{" on" if name == chosen else " none" if name == gone else ""}">{name}</span>'
        for name in names
    )


def _sheet_top(w: World, goods: Goods) -> str:
    said = w.pick(
        (
            f"已选：{goods.choice}",
            f"已选 {goods.colour} {goods.size}",
            f"请选择 {w.pick(('颜色', '尺码', '规格'))}",
        )
    )
    stock = w.pick((f"库存{w.number(3, 999)}件", "库存充足", f"库存 {w.number(1, 60)} 件"))
    return (
        f'<div class="row top" style="padding:14px">{picture(w, goods, 92)}'
        f'<div class="grow col"><span class="xl">'
        f'{price(w, goods.price)}</span><span class="g s">{stock}</span>'
        f'<span class="s">{said}</span></div><span class="g l">×</span></div>'
    )


def _counter(w: World) -> str:
    limit = w.pick(("", "", f'<span class="g s">(每人限购{w.number(2, 9)}件)</span>'))
    return (
        f'<div class="row" style="margin-top:8px"><b class="grow">购买数量 {limit}</b>'
        '<span class="opt">－</span>'
        f'<span>{w.number(1, 4)}</span><span class="opt" style="margin-left:8px">＋</span></div>'
    )


def _picker(w: World, goods: Goods, buttons: str) -> str:
    first, second = w.pick(
        (("颜色分类", "尺码"), ("颜色", "规格"), ("款式", "套餐"), ("选择颜色", "选择规格"))
    )
    size_help = '<span class="g s">尺码助手 ›</span>' if goods.kind in ("shirt", "shoe") else ""
    return (
        f'<div style="padding:0 14px 10px"><div class="b" style="margin-bottom:8px">{first}</div>'
        f"{_options(w, goods.colours, goods.colours[0])}"
        f'<div class="row" style="margin:6px 0 8px"><b class="grow">{second}</b>{size_help}</div>'
        f"{_options(w, goods.ordered_sizes, goods.sizes[0])}{_counter(w)}</div>{buttons}"
    )


def picker_sheet(w: World) -> str:
    """The panel that slides up: chosen goods, options, how many, buttons."""
    goods = w.goods()
    buttons = w.pick(
        (
            '<div class="wide">确定</div>',
            '<div class="wide">立即购买</div>',
            '<div class="row" style="padding:0 14px 12px">'
            '<span class="wide grow" style="margin:0;background:var(--s)">加入购物车</span>'
            '<span class="wide grow" style="margin:0">立即购买</span></div>',
        )
    )
    return f'<div class="sheet">{_sheet_top(w, goods)}{_picker(w, goods, buttons)}</div>'


@layout(PICKER)
def picker_over_the_article(w: World) -> Page:
    goods = w.goods()
    behind = main(_large(w, goods, 330), card(_price_line(w, goods), f"<b>{goods.title}</b>"))
    return phone(w, behind, '<div class="scrim"></div>', picker_sheet(w))


@layout(PICKER)
def picker_over_nothing(w: World) -> Page:
    """The sheet fills most of the screen; pictures stand beside each colour."""
    goods = w.goods()
    tiles = "".join(
        f'<div class="c s"><div style="border:1px solid '
        f"{'var(--a)' if at == 0 else 'var(--l)'};border-radius:6px;"
        f'overflow:hidden">{picture(w, w.goods(goods.kind), 72)}</div>{colour}</div>'
        for at, colour in enumerate(goods.colours)
    )
    grid = (
        f'<div style="display:grid;grid-template-columns:repeat(4,74px);gap:9px;margin:8px '
        f'0 10px">{tiles}</div>'
    )
    sizes = (
        f'<div class="b" style="margin-bottom:8px">{w.pick(("尺码", "规格", "套餐"))}'
        f"</div>{_options(w, goods.ordered_sizes, goods.sizes[0])}"
    )
    body = (
        f'<div style="padding:0 14px"><b>{w.pick(("选择颜色", "颜色分类", "请选择颜色"))}('
        f"{len(goods.colours)})</b>{grid}{sizes}{_counter(w)}</div>"
    )
    top = '<div style="height:70px"></div><div class="scrim"></div>'
    sheet = (
        f'<div class="sheet" style="top:98px">{_sheet_top(w, goods)}{body}'
        f'<div class="wide" style="position:absolute;left:0;right:0;bottom:0">'
        f"{w.pick(('确定', '下一步', '立即购买'))}</div></div>"
    )
    return phone(w, top, sheet)


@layout(PICKER)
def picker_as_a_page(w: World) -> Page:
    goods = w.goods()
    body = main(
        f'<div class="flat">{_sheet_top(w, goods)}</div>',
        f'<div class="flat" style="padding:12px 0">{_picker(w, goods, "")}</div>',
    )
    return phone(
        w, head(w, w.pick(("选择规格", "选择款式", "选择规格"))), body, '<div class="wide">确定</div>'
    )
