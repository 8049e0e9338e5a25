"""Talk with a shop's people or the platform's."""

from __future__ import annotations

from screens.drawings import icon
from screens.frame import button, face, foot, head, main, phone, picture, price
from screens.layouts import Page, layout
from screens.world import World

LABEL = "消费者与客服聊天页面"
_TALK = (
    ("你好，我买的东西到底什么时候发货？", "亲，已经帮您催促仓库，预计今天18:00前发出"),
    ("已经三天了物流一直没有更新", "亲，我帮您联系快递核实，有消息马上回复您"),
    ("显示已签收但我没有收到快递", "快递可能放在驿站了，您看一下取件短信"),
    ("收到的东西坏了一个，怎么处理", "非常抱歉，麻烦您拍一下照片发给我看看呢"),
    ("可以换大一点的规格吗", "可以的亲，您在订单里申请售后就行"),
    ("这个还有货吗", "这款有现货，拍下48小时内发出"),
    ("退款怎么还没到账", "退款一般1-3个工作日到账，请您耐心等待"),
    ("发票可以开公司抬头吗", "可以的，请您提供公司名称和税号"),
    ("我不想自己出运费", "您这边有运费险，寄回后会理赔给您"),
    ("优惠券为什么用不了", "这张券满199可用，您的订单还差一点呢"),
    ("能不能便宜点", "亲，已经是活动价了，给您申请一张5元券可以吗"),
    ("地址写错了怎么改", "还没发货，您把新地址发我，我帮您修改"),
)
_THANKS = (
    ("好的，谢谢", "感谢您的理解与支持，祝您生活愉快"),
    ("那我再等等", "非常抱歉给您带来不便"),
    ("好吧", "亲，还有其他可以帮您的吗"),
)


def _say(w: World, text: str, *, mine: bool, who: str, read: bool = False) -> str:
    state = '<div class="g xs right">已读</div>' if read else ""
    return (
        f'<div class="row top {"mine" if mine else ""}" style="padding:6px 10px">{who}<div>'
        f'<div class="bubble">{text}</div>{state}</div></div>'
    )


def _when(w: World, hours: int) -> str:
    return (
        f'<div class="c g xs" style="padding:6px">'
        f"{w.ago(hours).strftime(w.pick(('%m-%d %H:%M', '%H:%M', '昨天 %H:%M')))}</div>"
    )


def _card(w: World) -> str:
    goods = w.goods()
    word = w.pick(("发送订单", "发送链接", "发送订单"))
    return (
        f'<div class="card"><div class="row">{picture(w, goods, 62)}<div class="grow col">'
        f"<span>{goods.title}</span>{price(w, goods.price)}</div></div>"
        f'<div class="right">{button(word, "a")}</div></div>'
    )


def _turns(w: World, count: int, seller: str, buyer: str) -> str:
    """Questions, each with its answer; a picture may go before a question."""
    turns = []
    for at, (question, answer) in enumerate([*w.some(_TALK, count), w.pick(_THANKS)]):
        if w.maybe(0.2):
            turns.append(
                f'<div class="row top mine" style="padding:6px 10px">{buyer}'
                f"{picture(w, w.goods(), 120)}</div>"
            )
        turns.append(_say(w, question, mine=True, who=buyer, read=w.maybe(0.7)))
        turns.append(_say(w, answer, mine=False, who=seller))
        if w.maybe(0.3):
            turns.append(_when(w, count - at))
    return "".join(turns)


def _input(w: World) -> str:
    hint = w.pick(("请输入消息", "请输入消息…", "想问点什么", "按住 说话"))
    return foot(
        icon(w.rng),
        f'<div class="grow input" style="padding:7px 11px">{hint}</div>',
        icon(w.rng),
        icon(w.rng),
    )


@layout(LABEL)
def with_a_shop(w: World) -> Page:
    seller, buyer = face(w), face(w)
    first = _say(w, f"您好，欢迎光临{w.shop}，很高兴为您服务", mine=False, who=seller)
    chips = "".join(
        f'<span class="pill">{word}</span>'
        for word in w.some(("催发货", "查物流", "退换货", "优惠", "人工客服", "评价客服"), 4)
    )
    back = "" if w.theme.dark else w.pick(("", "#ededed", "#f0eee9"))
    return phone(
        w,
        head(w, w.shop, w.pick(("店铺", "进店", ""))),
        main(_card(w) if w.maybe(0.6) else _when(w, 9), first, _turns(w, 4, seller, buyer)),
        f'<div style="padding:6px 8px 0;white-space:nowrap;overflow:hidden">{chips}</div>',
        _input(w),
        back=back,
    )


@layout(LABEL)
def with_the_platform(w: World) -> Page:
    """The app's own service: a menu of questions, a robot, then a person."""
    seller, buyer = face(w), face(w)
    asks = "".join(
        f'<div class="line a s" style="padding:5px 0">{text}</div>'
        for text in w.some(
            (
                "如何申请退款？",
                "快递显示签收但未收到",
                "优惠券怎么使用",
                "如何修改收货地址",
                "商家不发货怎么办",
                "账号无法登录",
            ),
            4,
        )
    )
    menu = _say(w, f"Hi，我是智能助手，为您服务。猜您想问：{asks}", mine=False, who=seller)
    enter = (
        f'<div class="c g xs" style="padding:6px">'
        f"{w.pick(('人工客服已接入会话', f'客服{w.digits(3)}为您服务', '正在为您转人工客服…'))}</div>"
    )
    return phone(
        w,
        head(w, w.pick(("官方客服", "在线客服", "客服中心"))),
        main(
            _when(w, 2),
            menu,
            _say(w, w.pick(_TALK)[0], mine=True, who=buyer, read=True),
            enter,
            _turns(w, 3, seller, buyer),
        ),
        _input(w),
    )


@layout(LABEL)
def with_a_shop_scrolled(w: World) -> Page:
    """The middle of a long talk, with an order in it that was sent to the shop."""
    seller, buyer = face(w), face(w)
    goods = w.goods()
    sent = (
        f'<div class="row top mine" style="padding:6px 10px">{buyer}'
        f'<div class="bubble" style="width:232px"><div class="g xs">我要咨询这个订单</div>'
        f'<div class="row top">{picture(w, goods, 50)}<div class="grow s">{goods.title}'
        f"<div>共1件 ¥{goods.price:.2f}</div></div></div>"
        f'<div class="g xs">订单号 {w.order_number()}</div></div></div>'
    )
    done = (
        '<div class="c g xs" style="padding:8px">本次服务已结束，请对客服评价</div>' if w.maybe(0.4) else ""
    )
    return phone(
        w,
        head(w, w.shop, "店铺"),
        main(_turns(w, 1, seller, buyer), sent, _turns(w, 3, seller, buyer), done),
        _input(w),
    )
