"""Screens outside the app, with orders and parcels too: other shops, couriers, messages, the phone."""

from __future__ import annotations

from screens import words
from screens.drawings import icon, landscape_svg, map_svg
from screens.frame import (
    button,
    card,
    face,
    foot,
    goods_row,
    head,
    main,
    nav,
    pairs,
    phone,
    picture,
    price,
    tabs,
)
from screens.layouts import Page, layout
from screens.world import World

LABEL = "外部APP截图"
_NEWS = (
    "多地迎来降温，出行注意保暖",
    "早餐吃什么更健康？专家这样说",
    "城市夜跑路线推荐",
    "图书馆延长开放时间",
    "地铁新线本月试运行",
    "周末去哪儿：三个赏秋好去处",
    "如何判断快递柜超时收费",
)


def _sms(w: World) -> str:
    courier = w.courier()
    return w.pick(
        (
            f"【{courier}】您的包裹已到{w.pick(('南门驿站', '小区快递柜'))}，请凭取件码 {w.number(1, 20)}-"
            f"{w.number(1, 9)}-{w.digits(4)} 领取。",
            f"【{w.pick(words.OTHER_APPS)}】验证码 {w.digits(6)}，5分钟内有效，请勿泄露给他人。",
            f"【{w.pick(words.OTHER_APPS)}】会员日满199减50，点击领取，拒收请回复R 退订",
            f"【{courier}】快递员{w.phone()}正在为您派送，请保持电话畅通。",
            f"【{w.pick(words.BANKS)}】您尾号{w.digits(4)}的卡于{w.ago(3).strftime('%m月%d日')}支出"
            f"{w.amount(5, 900):.2f}元。",
            f"【{w.pick(words.OTHER_APPS)}】您购买的商品已退款{w.amount(5, 300):.2f}元，预计3个工作日到账。",
            f"【{courier}】运单{w.digits(13)}因地址不详派送失败，请联系客服。退订回T",
        )
    )


@layout(LABEL)
def messages(w: World) -> Page:
    turns = "".join(
        f'<div class="c g xs" style="padding:8px">短信 '
        f'{w.ago(9 * (4 - at)).strftime("%m月%d日 %H:%M")}</div><div style="padding:0 12px">'
        f'<div class="bubble" style="background:rgba(128,128,128,.16);max-width:270px">'
        f"{_sms(w)}</div></div>"
        for at in range(w.number(3, 5))
    )
    number = w.pick((f"1069{w.digits(8)}", f"95{w.digits(3)}"))
    return phone(
        w,
        head(w, number),
        main(turns),
        foot(icon(w.rng), '<div class="grow input" style="padding:6px 11px">短信</div>'),
        back="var(--c)",
    )


@layout(LABEL)
def inbox(w: World) -> Page:
    lines = "".join(
        f'<div class="row line" style="padding:10px 14px">{face(w, 42)}<div class="grow">'
        f'<div class="row"><b class="grow">1069{w.digits(7)}</b>'
        f'<span class="g xs">{w.day(w.number(1, 300))}</span></div>'
        f'<div class="g s">{_sms(w)[:28]}…</div></div></div>'
        for _ in range(9)
    )
    return phone(
        w,
        f'<div class="head"><span class="xl b grow">{w.pick(("信息", "短信", "短信"))}'
        f"</span>{icon(w.rng)}</div>",
        '<div style="padding:0 14px 8px"><div class="input" style="padding:6px 11px">搜索短信</div></div>',
        main(lines),
        back="var(--c)",
    )


@layout(LABEL)
def order_of_another_shop(w: World) -> Page:
    """An order, yet another shop's: its name, its words, its bar."""
    goods = w.goods()
    app = w.pick(words.OTHER_APPS)
    state = w.pick(("待成团", "拼单成功，待发货", "商品已出库", "已完成", "等待收货"))
    own = w.pick(("自营", "拼单", "自营"))
    top = (
        f'<div style="padding:14px 16px;background:{w.theme.accent};color:#fff">'
        f'<div class="l b">{state}</div><div class="s">{app}'
        f"{w.pick(('为您配送', '提醒您当面验收', '极速发货'))}</div></div>"
    )
    bought = card(
        f'<div class="row b" style="margin-bottom:8px"><span class="tag">{own}'
        f"</span>{app}{w.pick(('家居馆', '官方自营', '品质店'))}</div>",
        goods_row(w, goods),
        pairs((("应付总额", f"¥{goods.price:.2f}"),)),
    )
    facts = card(
        pairs(
            (
                ("订单编号", w.digits(12)),
                ("下单时间", w.stamp(40)),
                ("支付方式", "在线支付"),
                ("配送方式", f"{app}配送"),
            )
        )
    )
    where = card(f"<b>{w.person()} {w.phone()}</b><div class='g s'>{w.address()}</div>")
    return phone(
        w,
        head(w, app),
        top,
        main(where, bought, facts),
        foot(button(w.pick(("邀请拼单", "查看发票"))), button("再次购买", "a"), end=True),
    )


@layout(LABEL)
def front_of_another_shop(w: World) -> Page:
    app = w.pick(words.OTHER_APPS)
    cells = "".join(
        f"<div>{icon(w.rng, colour=w.theme.accent)}<div>{name}</div></div>"
        for name in w.some(
            (
                "自营超市",
                "拼单返现",
                "小时达",
                "天天果园",
                "话费充值",
                "砍一刀",
                "旧物回收",
                "到店自提",
                "生活缴费",
                "外卖",
            ),
            8,
        )
    )
    tiles = "".join(
        f'<div class="card" style="--m:0;--p:0;padding:6px">'
        f'{picture(w, goods, 156, 130)}<div class="s">'
        f'<span class="tag">{w.pick(("自营", "拼单", "包邮"))}</span>{goods.name}'
        f'</div>{price(w, goods.price)} <span class="g xs">已拼{w.number(1, 90)}万件</span>'
        f"</div>"
        for goods in (w.goods() for _ in range(6))
    )
    return phone(
        w,
        f'<div class="head w" style="background:{w.theme.accent}"><b class="l">{app}</b>'
        f'<div class="grow input" style="background:#fff;color:#888;padding:5px 10px;'
        f'font-size:13px">{w.goods().name}</div></div>',
        main(card(f'<div class="grid4">{cells}</div>'), f'<div class="grid2">{tiles}</div>'),
        nav(w, w.pick((("首页", "自营", "拼单", "我的"), ("推荐", "超市", "附近", "购物袋", "个人"))), 0),
    )


@layout(LABEL)
def courier_app(w: World) -> Page:
    """A courier's own programme, not the shop's page of parcels."""
    courier = w.courier()
    steps = "".join(
        f'<div class="time{" on" if at == 0 else ""}">{text}'
        f'<div class="g xs">{w.stamp(at * 9 + 1)}</div></div>'
        for at, text in enumerate((f"快件到达{w.city()}营业部", f"快件离开{w.city()}中转场", "快件已收取"))
    )
    top = (
        f'<div class="w" style="background:{w.theme.accent};padding:16px">'
        f'<b class="xl">{courier}</b><div class="s">'
        f"{w.pick(('寄件、查件、客服，一个小程序就够', '首单立减3元', '会员服务'))}</div>"
        f'<div class="input" style="background:#fff;margin-top:10px">运单号 '
        f"{w.parcel_number(courier)}</div></div>"
    )
    names = ("我要寄件", "网点查询", "运费试算", "在线客服")
    cells = "".join(f"<div>{icon(w.rng)}<div>{name}</div></div>" for name in names)
    tools = card(f'<div class="grid4">{cells}</div>')
    return phone(
        w,
        head(w, f"{courier}{w.pick(('官方小程序', '+', 'APP'))}", home=True),
        top,
        main(tools, card(f'<b>快件跟踪</b><div class="rule"></div>{steps}')),
        nav(w, ("首页", "寄件", "积分商城", "我"), 0),
    )


@layout(LABEL)
def system_settings(w: World) -> Page:
    blocks = (
        ("WLAN", "蓝牙", "移动网络", "飞行模式"),
        ("通知与状态栏", "声音与振动", "显示与亮度"),
        ("应用权限", "应用管理", "电池", "存储"),
        ("密码与安全", "关于手机"),
    )
    lines = "".join(
        card(
            *(
                f'<div class="row line">{icon(w.rng, colour=w.theme.accent, side=20)}'
                f'<span class="grow">{name}</span><span class="g s">{w.pick(("", "", "已开启", "关闭"))} '
                f"›</span></div>"
                for name in names
            )
        )
        for names in blocks
    )
    return phone(w, '<div style="padding:8px 16px" class="xl b">设置</div>', main(lines))


@layout(LABEL)
def call_log(w: World) -> Page:
    lines = "".join(
        f'<div class="row line" style="padding:10px 16px"><div class="grow">'
        f'<div class="{"a" if at % 3 == 0 else ""}">'
        f"{w.pick((w.phone(), f'95{w.digits(3)}', f'0571-8{w.digits(3)}****'))}</div>"
        f'<div class="g xs">{w.pick(("快递送餐", "广东广州", "浙江杭州", "骚扰电话", "未接来电"))}'
        f"</div></div>"
        f'<span class="g s">{w.ago(at * 7 + 1).strftime("%m-%d %H:%M")}</span></div>'
        for at in range(10)
    )
    return phone(w, tabs(("通话", "联系人", "收藏"), 0), main(lines), back="var(--c)")


@layout(LABEL)
def notices(w: World) -> Page:
    """The lock screen with notices of shops, couriers, messages."""
    blocks = "".join(
        f'<div style="background:#fffc;color:#222;border-radius:14px;margin:8px 12px;'
        f'padding:10px 12px"><div class="row xs" style="color:#555">'
        f'<span class="grow">{name}</span><span>{w.number(1, 59)}分钟前</span></div>'
        f'<div class="s">{text}</div></div>'
        for name, text in (
            (w.pick(("短信", "信息")), _sms(w)),
            (
                w.pick(words.OTHER_APPS),
                w.pick(("您关注的商品降价了", "拼单还差1人，快邀请好友", "您的订单已送达")),
            ),
            ("短信", _sms(w)),
        )
    )
    clock = (
        f'<div class="c w" style="padding:44px 0 26px">'
        f'<div style="font-size:60px;line-height:1.2">{w.moment.strftime("%H:%M")}</div>'
        f"<div>{w.moment.month}月{w.moment.day}日 星期{w.pick('一二三四五六日')}</div></div>"
    )
    art = f'<div style="position:absolute;inset:0">{landscape_svg(w.rng)}</div>'
    return phone(w, main(art, f'<div style="position:relative">{clock}{blocks}</div>'), bare=True)


@layout(LABEL)
def map_app(w: World) -> Page:
    panel = (
        f'<div class="sheet" style="padding:14px"><b class="l">'
        f"{w.pick(('南门驿站', '四海快运营业点', '幸福路便民超市'))}</b>"
        f'<div class="g s">{w.address()}</div>'
        f'<div class="row" style="margin-top:10px">{button("路线", "full")}{button("打车", "a")}'
        f'<span class="grow right g s">距您{w.number(1, 90) / 10}公里</span></div></div>'
    )
    return phone(
        w,
        main(
            f'<div style="height:{w.height}px">{map_svg(w.rng)}</div>',
            f'<div class="card" style="position:absolute;top:4px;left:0;right:0">'
            f"{w.pick(('搜地点、公交、路线', '搜索附近驿站'))}</div>",
            panel,
        ),
    )


@layout(LABEL)
def browser(w: World) -> Page:
    """A browser with the news of the day."""
    items = "".join(
        f'<div class="row line" style="padding:10px 14px"><div class="grow"><div>{title}'
        f'</div><div class="g xs">{w.pick(("都市晨报", "生活周刊", "城事"))} {w.number(2, 600)}评论'
        f'</div></div><div class="pic" style="width:96px;height:64px">{landscape_svg(w.rng)}'
        f"</div></div>"
        for title in w.some(_NEWS, 6)
    )
    return phone(
        w,
        f'<div style="padding:6px 12px"><div class="input c s">'
        f"{w.pick(('news', 'city', 'daily'))}.example.cn</div></div>",
        tabs(("推荐", "热点", "本地", "视频"), 0),
        main(items),
        foot(
            '<span class="grow c g">‹</span><span class="grow c g">›</span>'
            '<span class="grow c g">刷新</span><span class="grow c g">网页</span>'
        ),
        back="var(--c)",
    )


@layout(LABEL)
def permission(w: World) -> Page:
    """A system box over a home screen, or an app's page in the settings."""
    app = w.pick((*words.OTHER_APPS, w.app))
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span>'
        f'<span class="g">{w.pick(("已允许", "仅使用期间", "不允许"))} ›</span></div>'
        for name in ("位置信息", "相机", "存储", "电话", "麦克风", "通知")
    )
    top = (
        f'<div class="c" style="padding:20px">{face(w, 58)}<div class="l b">{app}</div>'
        f'<div class="g s">版本 {w.number(1, 12)}.{w.number(0, 30)}.{w.number(0, 9)}</div>'
        f"</div>"
    )
    return phone(
        w,
        head(w, w.pick(("应用信息", "应用权限"))),
        main(
            top,
            card("<div class='g s'>应用权限</div>", rows),
            card(pairs((("存储", f"{w.number(90, 999)} MB"), ("移动数据", f"{w.number(1, 99) / 10} GB")))),
        ),
        foot(button("卸载"), button("强行停止"), end=True),
    )
