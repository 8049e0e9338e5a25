"""One's account: money, bills, what one has got of coupons; and one's own page."""

from __future__ import annotations

from screens.drawings import icon
from screens.frame import button, card, face, head, main, nav, pairs, phone, status_bar, tabs
from screens.layouts import Page, layout
from screens.pages.buying import APP_NAV
from screens.world import World

BILLS, ME = "账单/账户页面", "个人信息页面"
_SERVICES = (
    *("收货地址", "实名认证", "官方客服", "领券", "我的快递"),
    *("小金库", "会员中心", "发票", "亲情账号", "反馈"),
)
_CLASSES = ("餐饮美食", "日用百货", "服饰装扮", "充值缴费", "交通出行", "退款", "转账红包", "数码电器")


def _entry(w: World) -> str:
    kind = w.pick(_CLASSES)
    plus = kind == "退款" or (kind == "转账红包" and w.maybe(0.5))
    name = {
        "退款": f"退款-{w.any_shop()}",
        "充值缴费": w.pick(("话费充值", "电费缴纳", "燃气缴费")),
        "交通出行": w.pick(("地铁乘车", "共享单车", "打车")),
        "转账红包": w.pick(("余额转入", f"转账-{w.person()}", "收红包")),
        "餐饮美食": w.pick(("幸福面馆", "街角咖啡", "社区食堂", "早点铺")),
    }.get(kind, w.any_shop())
    sign = f'<b class="{"a" if plus else ""}">{"+" if plus else "-"}{w.amount(1, 500):.2f}</b>'
    return (
        f'<div class="row line">{face(w, 34)}<div class="grow"><div>{name}</div>'
        f'<div class="g xs">{kind} · {w.ago(w.number(1, 700)).strftime("%m-%d %H:%M")}</div>'
        f"</div>{sign}</div>"
    )


@layout(BILLS)
def bill_list(w: World) -> Page:
    month = f"{w.moment.year}年{w.moment.month}月"
    top = (
        f'<div class="flat"><div class="l b">{month} ▾</div>'
        f'<div class="g s">支出 ¥{w.amount(300, 9000):,.2f}　收入 ¥{w.amount(10, 6000):,.2f} '
        f'<span style="float:right">收支分析 ›</span></div></div>'
    )
    return phone(
        w,
        head(w, w.pick(("账单", "交易记录", "收支明细")), "筛选"),
        top,
        main(card(*(_entry(w) for _ in range(11)))),
    )


@layout(BILLS)
def one_bill(w: World) -> Page:
    """A single payment, looked up afterwards: no ways to pay, but class, remark and what it counts as."""
    amount = w.amount(3, 900)
    shop = w.shop
    top = (
        f'<div class="c" style="padding:20px 0 6px">{face(w, 48)}'
        f'<div style="margin:6px 0">{shop}</div><div class="xxl b">-{amount:.2f}</div>'
        f'<div class="g s">{w.pick(("交易成功", "支付成功", "已全额退款", "交易成功"))}</div></div>'
    )
    rows = pairs(
        (
            ("支付时间", w.stamp(30)),
            ("付款方式", w.pick((w.bank(), "账户余额"))),
            ("商品说明", w.goods().title[:12] + "…"),
            ("收单机构", f"{w.pick(('江海', '北岸', '大河'))}清算"),
            ("商户单号", w.digits(20)),
            ("账单分类", w.pick(_CLASSES)),
        ),
        near=w.maybe(0.3),
    )
    tools = card(
        *(
            f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
            for name, value in (
                ("账单管理", ""),
                ("计入收支", "已计入"),
                ("标签和备注", "添加"),
                ("对此单有疑问", ""),
            )
        )
    )
    return phone(w, head(w, "账单详情", w.pick(("全部账单", ""))), main(card(top, rows), tools))


@layout(BILLS)
def assets(w: World) -> Page:
    total = w.amount(10, 90000)
    items = "".join(
        f'<div class="row line">{icon(w.rng, colour=w.theme.accent)}'
        f'<span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in w.some(
            (
                ("账户余额", f"¥{w.amount(0, 500):.2f}"),
                ("红包", f"{w.number(0, 9)}个"),
                ("银行卡", f"{w.number(1, 6)}张"),
                ("理财", f"¥{w.amount(0, 9000):.2f}"),
                ("卡券包", f"{w.number(0, 30)}张"),
                ("积分", str(w.number(10, 9000))),
                ("先用后付", "已开通"),
                ("礼品卡", "¥0.00"),
            ),
            w.number(5, 7),
        )
    )
    top = (
        f'<div class="w" style="background:{w.theme.accent};padding:18px 20px">'
        f'<div class="s">总资产(元)</div><div class="xxl b">{total:,.2f}</div>'
        f'<div class="s">可用余额 {w.amount(0, 400):.2f}　昨日收益 +{w.number(0, 500) / 100:.2f}'
        f'</div><div class="row" style="margin-top:12px"><span class="btn">充值</span>'
        f'<span class="btn">提现</span><span class="grow right s">账单 ›</span></div></div>'
    )
    return phone(
        w, head(w, w.pick(("我的资产", "账户", "我的钱包")), fill=w.theme.accent), top, main(card(items))
    )


@layout(BILLS)
def balance(w: World) -> Page:
    top = (
        f'<div class="c" style="padding:34px 0 22px">'
        f"{icon(w.rng, colour=w.theme.accent, side=52)}"
        f'<div class="g">{w.pick(("可用余额", "账户余额 可用余额", "我的余额 可用余额"))}</div>'
        f'<div class="xxl b">¥{w.amount(0, 3000):.2f}</div></div>'
    )
    return phone(
        w,
        head(w, w.pick(("余额", "零用钱包")), w.pick(("账单", "明细"))),
        main(
            top,
            '<div class="wide">充值</div><div class="wide line2">提现</div>',
            card(
                pairs(
                    (
                        ("我的银行卡", f"{w.number(1, 5)}张 ›"),
                        ("收支明细", "›"),
                        ("支付管理", "›"),
                        ("常见问题", "›"),
                    )
                )
            ),
        ),
    )


@layout(BILLS)
def own_coupons(w: World) -> Page:
    """Coupons and presents that are already in the account: to be used, used, run out."""
    on = w.number(0, 2)
    state = ("去使用", "已使用", "已过期")[on]
    lines = "".join(
        f'<div class="row card" style="{"opacity:.55" if on else ""}">'
        f'<div class="c a" style="width:78px"><span class="s">¥</span>'
        f'<span class="xxl b">{w.pick((2, 5, 8, 10, 20, 50))}</span>'
        f'<div class="xs g">{w.pick(("无门槛", "满99可用", "满199可用"))}</div></div>'
        f'<div class="grow col"><b>{w.pick(("通用红包", "店铺券", "运费券", "品类券", "支付红包"))}</b>'
        f'<span class="g xs">有效期至 {w.later(w.number(1, 30)).strftime("%Y-%m-%d")}</span>'
        f"</div>{button(state, '' if on else 'a')}</div>"
        for _ in range(7)
    )
    return phone(
        w,
        head(w, w.pick(("我的红包", "卡券包", "我的红包卡券"))),
        tabs((f"未使用({w.number(1, 30)})", "已使用", "已过期"), on),
        main(lines),
    )


def _orders(w: World) -> str:
    cells = "".join(
        f'<div style="position:relative">{icon(w.rng)}<div>{name}</div></div>'
        for name in ("待付款", "待发货", "待收货", "待评价", "退款/售后")
    )
    return card(
        f'<div class="row" style="margin-bottom:10px"><b class="grow">我的订单</b>'
        f'<span class="g s">全部 ›</span></div><div class="grid5">{cells}</div>'
    )


@layout(ME)
def my_page(w: World) -> Page:
    counts = "".join(
        f'<div class="c"><b class="l">{w.number(0, 999)}</b><div class="s g">{name}</div></div>'
        for name in w.pick((("收藏", "关注店铺", "足迹", "红包"), ("收藏夹", "足迹", "卡券", "积分")))
    )
    top = (
        f'<div class="row" style="padding:14px 16px">{face(w, 58)}<div class="grow col">'
        f'<b class="l">{w.nick()}</b><span class="s g">会员名：t**{w.digits(3)} · '
        f'{w.pick(("白银", "黄金", "铂金", "普通"))}会员</span></div>{icon(w.rng)}<span class="s">设置'
        f"</span></div>"
    )
    cells = "".join(
        f"<div>{icon(w.rng, colour=w.theme.accent)}<div>{name}</div></div>" for name in w.some(_SERVICES, 8)
    )
    return phone(
        w,
        top,
        main(
            f'<div class="row" style="justify-content:space-around;padding:4px 10px 10px">{counts}</div>',
            _orders(w),
            card(f'<div class="grid4">{cells}</div>'),
            card(
                "<b>常用功能</b>",
                *(f'<div class="line">{name} ›</div>' for name in ("地址管理", "账号与安全", "帮助与反馈")),
            ),
        ),
        nav(w, APP_NAV, 4),
    )


@layout(ME)
def profile(w: World) -> Page:
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in (
            ("昵称", w.nick()),
            ("会员名", f"t**{w.digits(4)}"),
            ("性别", w.pick(("男", "女", "未设置"))),
            ("生日", w.pick(("去完善", f"{w.number(1, 12)}月{w.number(1, 28)}日"))),
            ("所在地", w.city()),
            ("手机号", w.phone()),
            ("实名认证", w.pick(("已认证", "未认证"))),
            ("我的二维码", ""),
            ("简介", "介绍一下自己"),
        )[: w.number(6, 9)]
    )
    return phone(
        w,
        head(w, w.pick(("个人资料", "编辑个人资料", "个人资料"))),
        main(card(f'<div class="row line"><span class="grow">头像</span>{face(w, 44)}</div>{rows}')),
    )


@layout(ME)
def settings(w: World) -> Page:
    top = (
        f'<div class="row card">{face(w, 46)}<div class="grow"><b>{w.nick()}</b>'
        f'<div class="g s">会员名 t**{w.digits(4)}</div></div>›</div>'
    )
    blocks = [
        ("账号与安全", "地址管理", "实名认证"),
        ("支付设置", "消息通知", "隐私", "通用"),
        ("问题反馈", f"关于{w.app}"),
    ]
    lines = "".join(
        card(
            *(
                f'<div class="row line"><span class="grow">{name}</span><span class="g">›</span></div>'
                for name in names
            )
        )
        for names in blocks
    )
    return phone(
        w,
        head(w, "设置"),
        main(top, lines, f'<div class="wide line2">{w.pick(("切换账号", "退出登录"))}</div>'),
    )


@layout(ME)
def addresses(w: World) -> Page:
    blocks = "".join(
        card(
            f'<div class="row top"><div class="grow"><b>{w.person()}</b> '
            f'<span class="g">{w.phone()}</span> '
            f"{'<span class=tag>默认</span>' if at == 0 else ''}"
            f'<div class="s" style="margin-top:4px">{w.address()}</div></div>'
            f'<span class="g s">编辑</span></div>'
        )
        for at in range(w.number(2, 5))
    )
    return phone(
        w,
        head(w, w.pick(("我的收货地址", "地址管理", "收货地址")), "管理"),
        main(blocks),
        f'<div class="wide">＋ {w.pick(("新增地址", "新增收货地址 新增地址"))}</div>',
    )


@layout(ME)
def my_page_in_colour(w: World) -> Page:
    ground = f"linear-gradient({w.theme.accent},var(--b) 45%)"
    top = (
        f'<div class="row w" style="padding:16px">{face(w, 62)}<div class="grow">'
        f'<div class="xl b">{w.nick()}</div><div class="s">会员名 t**{w.digits(3)}</div>'
        f"</div>{button('个人资料')}</div>"
    )
    vip = card(
        f'<div class="row"><b class="grow" style="color:#a8782a">'
        f"{w.pick(('会员卡 尊享9.5折', '省钱卡 每月领券'))}</b>{button('立即开通')}</div>"
    )
    more = card(
        *(
            f'<div class="row line">{icon(w.rng, side=18)}<span class="grow">{name}</span>'
            f'<span class="g">›</span></div>'
            for name in w.some(
                ("我的足迹", "收货地址", "账号与安全", "实名认证", "我的收藏", "联系客服", "关注店铺"), 6
            )
        )
    )
    return phone(
        w,
        f'<div style="color:#fff">{status_bar(w)}</div>',
        main(top, vip, _orders(w), more),
        nav(w, APP_NAV, 4),
        back=ground,
        bare=True,
    )
