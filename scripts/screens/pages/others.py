"""What belongs nowhere: jokes, greetings, printed tables and notes, views, pages that did not load."""

from __future__ import annotations

from screens.drawings import landscape_svg
from screens.layouts import Page, layout
from screens.pages.camera import photograph
from screens.theme import style
from screens.world import World

LABEL = "其他类别图片"


def _plain(w: World, inner: str, back: str) -> Page:
    """A picture without a phone's frame."""
    height = w.pick((640, 640, 680, 720, 780))
    return Page(
        f'<style>{style(w.theme)}</style><div class="screen" style="height:{height}px;'
        f'background:{back};color:#222">{inner}</div>',
        height,
    )


def _joke_face(w: World) -> str:
    eyes = w.pick(
        (
            '<path d="M62 84 q10 -14 20 0 M118 84 q10 -14 20 0" class="e"/>',
            '<circle cx="72" cy="82" r="8"/><circle cx="128" cy="82" r="8"/>',
            '<path d="M60 78 l24 10 M140 78 l-24 10" class="e"/>',
        )
    )
    mouth = w.pick(
        (
            '<path d="M62 118 q38 42 76 0" class="e"/>',
            '<path d="M70 136 q30 -30 60 0" class="e"/>',
            '<circle cx="100" cy="130" r="15"/>',
            '<path d="M70 130 h60" class="e"/>',
        )
    )
    drops = w.pick(("", '<path d="M150 96 q14 22 0 30 q-14 -8 0 -30" fill="#58b7ff"/>'))
    return (
        f'<svg viewBox="0 0 200 200" width="{w.number(150, 230)}" style="transform:rotate('
        f'{w.number(-16, 16)}deg)"><style>.e{{fill:none;stroke:#3a2a10;stroke-width:7;'
        f'stroke-linecap:round}}</style><circle cx="100" cy="100" r="82" fill="hsl('
        f'{w.number(40, 54)} 96% 60%)"/>{eyes}{mouth}{drops}</svg>'
    )


@layout(LABEL)
def joke(w: World) -> Page:
    text = w.pick(
        (
            "在线等 挺急的",
            "谢谢老板",
            "收到！",
            "我裂开了",
            "哈哈哈哈",
            "在线等回复",
            "等得花儿都谢了",
            "冲鸭",
            "",
        )
    )
    return _plain(
        w,
        f'<div style="margin:auto;text-align:center">{_joke_face(w)}'
        f'<div class="b" style="font-size:{w.number(28, 40)}px;line-height:1.3;'
        f'margin-top:24px">{text}</div></div>',
        w.pick(("#fff", "#fff", "#fef6d8", "#e8f4ff")),
    )


@layout(LABEL)
def greeting(w: World) -> Page:
    title, line = w.pick(
        (
            ("早上好", "愿你今天心情像阳光一样"),
            ("早上好", "新的一天 平安喜乐"),
            ("晚安", "好梦相伴 平安喜乐"),
            ("周末愉快", "平安喜乐 万事顺意"),
            ("节日快乐", "祝您全家平安喜乐"),
        )
    )
    return _plain(
        w,
        f'<div style="position:absolute;inset:0">{landscape_svg(w.rng)}</div>'
        f'<div class="c w" style="position:absolute;left:0;right:0;top:{w.number(12, 30)}%;'
        f'text-shadow:0 2px 6px #0009"><div class="b" style="font-size:{w.number(52, 72)}px;'
        f'line-height:1.3">{title}</div><div class="xl">{line}</div></div>',
        "#fff",
    )


@layout(LABEL)
def view(w: World) -> Page:
    """A landscape, without a word."""
    haze = (
        f'<div style="position:absolute;inset:0;backdrop-filter:blur('
        f"{w.number(0, 8) / 10}px);background:radial-gradient(circle at 50% 40%,#0000 "
        f'55%,#0006)"></div>'
    )
    return _plain(w, f'<div style="position:absolute;inset:0">{landscape_svg(w.rng)}</div>{haze}', "#fff")


@layout(LABEL)
def printed_table(w: World) -> Page:
    """A photograph of a printed sheet."""
    title, names = w.pick(
        (("课程表", ("节次", "周一", "周二", "周三")), ("值班表", ("日期", "上午", "下午", "备注")))
    )
    words = (
        ("语文", "数学", "英语", "体育", "美术", "科学")
        if title == "课程表"
        else ("张**", "李**", "王**", "赵**", "休", "")
    )
    rows = [names, *((str(at), *(w.pick(words) for _ in range(3))) for at in range(1, 8))]
    cells = "".join(
        f'<div class="c" style="border:1px solid #333;padding:6px 2px">{cell}</div>'
        for row in rows
        for cell in row
    )
    return photograph(
        w,
        f'<div style="background:#fdfdfa;width:290px;padding:16px;box-shadow:4px 8px 16px '
        f'#0006"><div class="c xl b" style="margin-bottom:10px">{title}</div>'
        f'<div style="display:grid;grid-template-columns:repeat(4,1fr)">{cells}</div></div>',
    )


@layout(LABEL)
def printed_note(w: World) -> Page:
    title, body, who = w.pick(
        (
            ("停水通知", "各位住户：因管道检修，本周六9:00至16:00停水，请提前储水。", "物业服务中心"),
            ("家长会通知", "各位家长：本周五下午三点召开家长会，请准时参加。", "班主任"),
            ("温馨提示", "请将垃圾分类投放，保持楼道整洁，感谢配合。", "居委会"),
            ("通知", "电梯年检期间暂停使用，给您带来不便，敬请谅解。", "物业服务中心"),
        )
    )
    return photograph(
        w,
        f'<div style="background:#fffef8;width:280px;padding:26px 22px;box-shadow:4px 8px '
        f'16px #0006;font-size:15px"><div class="c xl b" style="margin-bottom:14px">{title}'
        f'</div><div style="text-indent:2em">{body}</div>'
        f'<div class="right" style="margin-top:22px">{who}'
        f"<br>{w.moment.strftime('%Y年%m月%d日')}</div></div>",
    )


@layout(LABEL)
def nothing_loaded(w: World) -> Page:
    """A blank: nothing came but a few words, or not even they."""
    ring = (
        '<svg width="54" height="54" viewBox="0 0 24 24" fill="none" stroke="#bbb" '
        'stroke-width="2"><path d="M12 3 a9 9 0 1 1 -8 5"/></svg>'
    )
    text = w.pick(("图片加载失败", "加载失败，点击重试", "网络不给力，加载失败", ""))
    back = w.pick(("#fff", "#f5f5f5", "#111"))
    return _plain(
        w,
        f'<div style="margin:auto;text-align:center;color:#999">{ring}'
        f'<div style="margin-top:10px">{text}</div></div>',
        back,
    )
