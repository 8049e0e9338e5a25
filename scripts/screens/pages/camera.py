"""Photographs: goods, parcels, waybills and damage on a table or floor, with light, grain and a tilt."""

from __future__ import annotations

import math

from screens import textures
from screens.drawings import goods_svg
from screens.layouts import Page, layout
from screens.theme import style
from screens.world import World

LABEL = "实物拍摄(含售后)"
_BRITTLE = ("cup", "phone", "lamp", "bottle", "box", "headset")


def photograph(w: World, things: str) -> Page:
    """Things on a ground: texture, light from one side, dark corners, grain, a little out of focus."""
    seed, blur = w.number(1, 9999), w.number(0, 9) / 10
    x, y = w.number(5, 95), w.number(0, 70)
    turn, lean = w.rng.uniform(-9, 9), w.rng.uniform(-10, 16)
    floor = (
        f'<img style="position:absolute;width:100%;height:100%" src="'
        f'{textures.ground(w.rng.randrange(len(textures.GROUNDS)), seed)}">'
    )
    grain = (
        f'<div style="position:absolute;inset:0;pointer-events:none;mix-blend-mode:overlay;'
        f'opacity:{w.number(15, 50) / 100};background:url({textures.grain(seed)})"></div>'
    )
    shade = (
        f'<div style="position:absolute;inset:0;pointer-events:none;'
        f"background:radial-gradient(circle at {x}% "
        f"{y}%,rgba(255,246,220,.34),rgba(0,0,0,0) 48%,rgba(0,0,0,{w.number(25, 55) / 100}) "
        f'112%)"></div>'
    )
    scene = (
        f'<div style="position:absolute;inset:0;transform:perspective(900px) rotateX('
        f"{lean:.1f}deg) rotate({turn:.1f}deg) scale({w.rng.uniform(0.94, 1.18):.2f});"
        f'display:flex;align-items:center;justify-content:center">{things}</div>'
    )
    tone = (
        f"filter:blur({blur}px) brightness({w.number(82, 112)}%) contrast("
        f"{w.number(88, 110)}%) sepia({w.number(0, 22)}%)"
    )
    body = (
        f'<style>{style(w.theme)}</style><div class="screen" style="height:{w.height}px;'
        f'color:#222"><div style="position:absolute;inset:0;{tone}">{floor}{scene}{shade}'
        f"{grain}</div></div>"
    )
    return Page(body, w.height)


_SHADOW = "box-shadow:8px 14px 22px #0007,0 0 3px #0006"


def _waybill(w: World) -> str:
    """The paper on a parcel: courier, number, bars, whose and to whom."""
    courier = w.courier()
    bars = "".join(
        f'<rect x="{at * 2.1:.1f}" width="{w.pick((0.7, 1.2, 1.7))}" height="34"/>' for at in range(86)
    )
    return (
        f'<div style="background:#fcfcf8;padding:9px;width:220px;font-size:11px;color:#111;'
        f'{_SHADOW}"><div class="row"><b class="l grow">{courier}</b>'
        f"<b>{w.pick(('标快', '特惠', '同城', '次日达'))}</b></div>"
        f'<div style="border:1px solid #111;padding:3px 6px;margin:4px 0">'
        f'<b style="font-size:22px">{w.digits(3)}-{w.pick("ABCDEF")}{w.number(1, 99)}</b>'
        f"</div>"
        f'<svg width="184" height="34">{bars}</svg><div>{w.parcel_number(courier)}</div>'
        f'<div style="border-top:1px solid #111;margin-top:3px">收：{w.person()} {w.phone()}'
        f"<br>{w.address()}</div>"
        f'<div style="border-top:1px solid #111">寄：{w.shop} {w.phone()}</div>'
        f'<div class="row"><span class="grow">已验视</span>'
        f"<span>{w.ago(40).strftime('%Y-%m-%d %H:%M')}</span></div></div>"
    )


def _dent(w: World) -> str:
    """A wet or dirty spot: a ragged blot."""
    turns = [(at / 14 * 2 * math.pi, w.rng.uniform(18, 40)) for at in range(14)]
    points = " ".join(
        f"{50 + far * math.cos(turn):.0f},{50 + far * math.sin(turn):.0f}" for turn, far in turns
    )
    place = f"position:absolute;left:{w.number(4, 55)}%;top:{w.number(4, 55)}%;width:{w.number(24, 44)}%"
    return (
        f'<svg viewBox="0 0 100 100" style="{place};filter:blur(1px)">'
        f'<polygon points="{points}" fill="#2b1a0c" '
        f'opacity=".5" stroke="#2b1a0c88" stroke-width="7" stroke-linejoin="round"/></svg>'
    )


def _crack() -> str:
    return (
        '<svg viewBox="0 0 100 100" style="position:absolute;inset:0">'
        '<path d="M48 30 L54 44 L46 52 L57 66 L50 78" fill="none" stroke="#111b" stroke-width="1.6"/></svg>'
    )


@layout(LABEL)
def parcel(w: World) -> Page:
    width, height = w.number(250, 300), w.number(300, 400)
    hue = w.number(24, 36)
    words = w.pick(("轻拿轻放", "小心易碎", "向上", "", "", "易碎 轻拿轻放"))
    print_ = f'<div class="xl b" style="position:absolute;bottom:18px;right:18px;color:#5a3a1a">{words}</div>'
    tape = (
        f'<div style="position:absolute;left:0;right:0;top:{w.number(40, 60)}%;height:34px;'
        f'background:#d9b98a88"></div>'
    )
    damage = _dent(w) if w.maybe(0.4) else ""
    box = (
        f'<div style="position:relative;width:{width}px;height:{height}px;'
        f"background:linear-gradient({w.number(100, 170)}deg,hsl({hue} 42% 62%),hsl({hue} "
        f'40% 46%));{_SHADOW}">{tape}<div style="position:absolute;left:'
        f'{w.number(10, 30)}px;top:{w.number(14, 60)}px">{_waybill(w)}</div>{print_}{damage}'
        f"</div>"
    )
    return photograph(w, box)


@layout(LABEL)
def bag_with_waybill(w: World) -> Page:
    grey = w.number(14, 90)
    bag = (
        f'<div style="position:relative;width:290px;height:380px;border-radius:26px 18px '
        f"30px 20px;background:linear-gradient(120deg,hsl(220 5% {grey}%),hsl(220 8% "
        f"{max(grey - 18, 4)}%) 40%,hsl(220 5% {grey}%) 60%,hsl(220 8% "
        f'{max(grey - 12, 4)}%));{_SHADOW}"><div style="position:absolute;left:34px;'
        f'top:90px;transform:rotate({w.number(-6, 6)}deg)">{_waybill(w)}</div></div>'
    )
    return photograph(w, bag)


@layout(LABEL)
def article(w: World) -> Page:
    """An article as it arrived: whole, stained or broken; often no text at all."""
    goods = w.goods()
    drawing = goods_svg(goods.kind, goods.hue, w.rng, cut_out=True)
    damage = w.pick(("", "", _crack() if goods.kind in _BRITTLE else _dent(w)))
    count = w.pick((1, 1, 1, 2))
    one = (
        f'<div style="position:relative;width:{320 // count + 30}px;filter:drop-shadow(10px '
        f'14px 9px #0008)">{drawing}{damage}</div>'
    )
    return photograph(w, one * count)


@layout(LABEL)
def printed_card(w: World) -> Page:
    """The card or label that lies with an article."""
    goods = w.goods()
    kind = w.pick(("合格证", "保修卡", "产品合格证", "合格证"))
    rows = [
        ("品名", goods.name),
        ("规格", goods.size),
        ("检验员", w.digits(2)),
        ("生产日期", w.ago(2000).strftime("%Y年%m月%d日")),
        ("执行标准", f"Q/{w.digits(5)}"),
        ("保修期", "一年"),
    ]
    lines = "".join(
        f'<div style="border-bottom:1px solid #999;padding:5px 0">{name}：{value}</div>'
        for name, value in rows[: w.number(4, 6)]
    )
    paper = (
        f'<div style="background:#fbfaf4;width:{w.number(210, 260)}px;padding:18px;'
        f'{_SHADOW}"><div class="c xl b" style="margin-bottom:8px">{kind}</div>{lines}'
        f'<div class="c xs" style="margin-top:8px">{w.shop}</div></div>'
    )
    beside = (
        f'<div style="position:absolute;right:6px;bottom:40px;width:150px;height:150px;'
        f'overflow:hidden">{goods_svg(goods.kind, goods.hue, w.rng)}</div>'
        if w.maybe(0.5)
        else ""
    )
    return photograph(w, paper + beside)


@layout(LABEL)
def open_box(w: World) -> Page:
    """A look into an opened box, the articles in it."""
    goods = w.goods()
    inner = "".join(
        f'<div style="width:96px;height:96px;overflow:hidden;border-radius:4px;box-shadow:0 '
        f'4px 8px #0006">{goods_svg(goods.kind, (goods.hue + at * 7) % 360, w.rng)}</div>'
        for at in range(w.number(2, 6))
    )
    flap = "background:hsl(30 40% 58%)"
    words = w.pick(
        (
            "",
            "",
            '<b style="position:absolute;top:-38px;left:70px;color:#5a3a1a">小心易碎</b>',
            '<b style="position:absolute;top:-38px;left:70px;color:#5a3a1a">轻拿轻放</b>',
        )
    )
    box = (
        f'<div style="position:relative;width:270px;padding:22px;background:hsl(28 34% 30%);'
        f'{_SHADOW}"><div style="position:absolute;left:0;right:0;top:-56px;height:56px;'
        f'{flap};transform:skewX(-18deg)"></div><div style="position:absolute;left:0;'
        f'right:0;bottom:-56px;height:56px;{flap};transform:skewX(14deg)"></div>{words}'
        f'<div style="display:flex;flex-wrap:wrap;gap:10px">{inner}</div></div>'
    )
    return photograph(w, box)
