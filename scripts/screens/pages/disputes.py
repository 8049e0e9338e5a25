"""Complaints, and disputes that the platform decides."""

from __future__ import annotations

from screens import words
from screens.drawings import tick
from screens.frame import (
    button,
    card,
    face,
    foot,
    goods_row,
    head,
    main,
    pairs,
    phone,
    picture,
    price,
    shop_line,
)
from screens.layouts import Page, layout
from screens.world import World

COMPLAINT, PLATFORM = "投诉举报页面", "平台介入页面"
_CAUSES = (
    "未按约定时间发货",
    "拒绝履行售后承诺",
    "态度恶劣",
    "虚假宣传",
    "骚扰他人",
    "要求线下交易",
    "描述与实物严重不符",
)
_KINDS = ("出售假冒商品", "违禁信息", "虚假交易", "盗用图片", "价格欺诈", "侵犯隐私", "诱导好评", "其他违规")


def _form(w: World, title: str, causes: tuple[str, ...], who: str, last: str) -> str:
    chosen = w.some(causes, w.number(4, 6))
    rows = "".join(
        f'<div class="row line"><span class="grow">{cause}</span>'
        f'<span class="dot{" on" if at == 1 else ""}"></span></div>'
        for at, cause in enumerate(chosen)
    )
    text = w.pick(("请详细描述问题，不少于10个字", *words.COMPLAINTS))
    count = 0 if text.startswith("请") else len(text)
    shots = "".join(picture(w, w.goods(), 62) for _ in range(w.number(0, 2)))
    return (
        card(pairs(((who, w.shop),)))
        + card(f"<b>{title}</b>{rows}")
        + card(
            f'<b>{last}</b><div class="input" style="margin:8px 0;min-height:70px">{text}'
            f'<div class="right xs">{count}/200</div></div><div class="row">{shots}'
            f'<span class="plus">上传图片</span></div>'
        )
        + card(pairs((("联系电话", w.phone()),)))
    )


@layout(COMPLAINT)
def complaint_form(w: World) -> Page:
    goods = w.goods()
    about = card(goods_row(w, goods, side=56)) if w.maybe(0.6) else ""
    form = _form(w, "投诉原因", _CAUSES, w.pick(("投诉对象", "被投诉方")), w.pick(("投诉说明", "投诉内容")))
    return phone(
        w,
        head(w, w.pick(("投诉商家", "我要投诉", "投诉"))),
        main(about, form),
        '<div class="wide">提交投诉</div>',
    )


@layout(COMPLAINT)
def report_form(w: World) -> Page:
    form = _form(
        w,
        w.pick(("举报类型", "请选择举报类型")),
        _KINDS,
        w.pick(("举报店铺", "举报对象")),
        w.pick(("举报说明", "举报内容")),
    )
    note = '<div class="s g" style="padding:8px 14px">平台将对举报人信息严格保密，请如实填写。</div>'
    return phone(
        w,
        head(w, w.pick(("举报", "举报商品", "违规举报"))),
        main(note, form),
        '<div class="wide">提交举报</div>',
    )


@layout(COMPLAINT)
def complaint_result(w: World) -> Page:
    state, note, result = w.pick(
        (
            ("投诉已受理", "我们会在3个工作日内处理，结果将通过消息通知您", "等待处理"),
            ("投诉处理中", "客服正在核实，请保持电话畅通", "处理中，预计2个工作日"),
            ("投诉已完结", "感谢您的反馈，祝您购物愉快", "已联系商家尽快发货"),
            ("举报已受理", "感谢您对平台环境的维护", "核实后将对商家作出处理"),
        )
    )
    kind = state[:2]
    facts = pairs(
        (
            (f"{kind}编号", w.order_number()),
            (f"{kind}对象", w.shop),
            (f"{kind}{'原因' if kind == '投诉' else '类型'}", w.pick(_CAUSES if kind == "投诉" else _KINDS)),
            ("提交时间", w.stamp(30)),
            ("处理结果", result),
        )
    )
    top = (
        f'<div class="c" style="padding:24px 30px 8px">{tick(w.theme.accent)}'
        f'<div class="l b" style="margin:8px 0">{state}</div>'
        f'<div class="g s">{note}</div></div>'
    )
    return phone(
        w,
        head(w, w.pick((f"{kind}详情", f"{kind}结果", "我的投诉"))),
        main(
            top,
            card(facts),
            card(f'<b>{kind}内容</b><div class="g" style="margin-top:6px">{w.pick(words.COMPLAINTS)}</div>'),
        ),
        foot(button(f"撤销{kind}"), button("补充说明", "a"), end=True),
    )


@layout(COMPLAINT)
def complaint_records(w: World) -> Page:
    blocks = [
        card(
            f'<div class="row"><b class="grow">投诉商家：{w.any_shop()}</b>'
            f'<span class="a s">{w.pick(("处理中", "已完结", "已撤销"))}</span></div>'
            f'<div class="s" style="margin:6px 0">投诉原因：{w.pick(_CAUSES)}</div>'
            f'<div class="row g s"><span class="grow">{w.stamp(w.number(9, 900))}'
            f"</span>{button('查看详情')}</div>"
        )
        for _ in range(5)
    ]
    return phone(
        w, head(w, w.pick(("我的投诉", "投诉记录"))), main(*blocks), '<div class="wide line2">我要投诉</div>'
    )


def _entry(w: World, who: str, text: str, hours: int, *, kind: str = "") -> str:
    """What one side said; goods of `kind` on the pictures that lie with it."""
    shots = (
        f'<div class="row" style="margin-top:6px">'
        f"{''.join(picture(w, w.goods(kind), 60) for _ in range(w.number(1, 3)))}</div>"
        if kind
        else ""
    )
    return (
        f'<div class="line"><div class="row">{face(w, 30)}<b class="grow">{who}</b>'
        f'<span class="g xs">{w.stamp(hours)}</span></div>'
        f'<div style="margin:6px 0 0 40px" class="s">{text}{shots}</div></div>'
    )


def _records(w: World, kind: str) -> str:
    return "".join(
        (
            _entry(
                w,
                "平台客服",
                w.pick(
                    (
                        "您好，平台已介入处理，请双方在48小时内举证。",
                        "经核实，支持买家退款，款项将原路退回。",
                        "请商家提供发货时的检验凭证。",
                    )
                ),
                3,
            ),
            _entry(
                w,
                "商家",
                w.pick(
                    ("发货前检查过，没有问题，不同意退款。", "可以补偿20元，请买家考虑。", "已提供出库视频。")
                ),
                20,
            ),
            _entry(w, "买家", w.pick(words.COMPLAINTS), 30, kind=kind),
        )
    )


@layout(PLATFORM)
def platform_decides(w: World) -> Page:
    goods = w.goods()
    title, note = w.pick(
        (
            ("平台处理中", "平台客服将在3个工作日内给出结果"),
            ("等待双方举证", f"剩余{w.number(5, 47)}小时，请上传凭证"),
            ("判定结果：支持买家", f"退款¥{goods.price:.2f}将原路退回"),
            ("判定结果：支持商家", "凭证不足，不支持退款"),
        )
    )
    top = (
        f'<div style="padding:16px;background:{w.theme.accent};color:#fff">'
        f'<div class="xl b">{title}</div><div class="s">{note}</div></div>'
    )
    facts = card(
        goods_row(w, goods, side=56),
        pairs((("争议金额", price(w, goods.price)), ("售后编号", w.order_number()))),
    )
    return phone(
        w,
        head(w, w.pick(("平台介入", "纠纷详情", "平台介入详情"))),
        top,
        main(facts, card("<b>协商记录</b>", _records(w, goods.kind))),
        foot(button("撤销申请"), button("补充举证", "a"), button("上传凭证", "full"), end=True),
    )


@layout(PLATFORM)
def record_of_talks(w: World) -> Page:
    more = _entry(w, "买家", "已申请平台介入，请客服处理。", 12)
    return phone(
        w,
        head(w, w.pick(("协商记录", "协商历史"))),
        main(card(_records(w, w.goods().kind), more)),
        foot('<div class="grow input">补充留言或凭证</div>', button("平台介入", "full")),
    )


@layout(PLATFORM)
def ask_the_platform(w: World) -> Page:
    """The form that calls the platform in after the seller refused."""
    goods = w.goods()
    refuse = card(
        f'<div class="b a">商家已拒绝您的申请</div><div class="s g">拒绝原因：'
        f"{w.pick(('商品完好，无质量问题', '已超过售后期', '凭证看不清'))}</div>"
    )
    rows = "".join(
        f'<div class="row line"><span class="grow">{name}</span><span class="g">{value} ›</span></div>'
        for name, value in (
            ("介入原因", w.pick(words.FAULTS)),
            ("我的诉求", w.pick(("仅退款", "退货退款", "补发商品"))),
        )
    )
    text = (
        f'<b>问题说明</b><div class="input" style="margin:8px 0">{w.pick(words.COMPLAINTS)}'
        f'</div><div class="row">{picture(w, goods, 62)}<span class="plus">上传凭证</span></div>'
    )
    return phone(
        w,
        head(w, "申请平台介入"),
        main(
            refuse,
            card(goods_row(w, goods, side=56)),
            card(rows),
            card(text),
            card('<div class="g s">平台介入后，请在48小时内完成举证，逾期将按现有凭证判定。</div>'),
        ),
        '<div class="wide">申请平台介入</div>',
    )


@layout(PLATFORM)
def steps_of_the_dispute(w: World) -> Page:
    names = [
        ("判定结果", w.pick(("支持买家，全额退款", "双方各承担部分责任"))),
        ("平台处理中", "平台客服正在核实凭证"),
        ("双方举证", "买家、商家已提交凭证"),
        ("平台介入", "买家申请平台介入"),
        ("商家拒绝", "商家拒绝了退款申请"),
    ][w.number(0, 2) :]
    steps = "".join(
        f'<div class="time{" on" if at == 0 else ""}"><b>{name}</b>'
        f'<div class="g s">{text} · {w.stamp(at * 18 + 1)}</div></div>'
        for at, (name, text) in enumerate(names)
    )
    who = card(
        pairs(
            (
                ("责任方", w.pick(("待判定", "商家", "快递公司"))),
                ("处理人", f"平台客服{w.number(11, 99)}号"),
                ("售后编号", w.order_number()),
            )
        )
    )
    return phone(
        w,
        head(w, "平台介入"),
        main(card(steps), who, card(shop_line(w), goods_row(w, w.goods(), side=58))),
        foot(button("查看凭证"), button("联系平台客服", "a"), end=True),
    )
