"""What many screens are put together from: status bar, head, foot, cards, rows, goods in a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from screens.drawings import face_svg, goods_svg, icon
from screens.layouts import Page
from screens.theme import style
from screens.world import Goods, World

_BACK = (
    '<svg width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2">'
    '<path d="M15 4 L7 12 L15 20"/></svg>'
)
_MORE = (
    '<svg width="20" height="20" viewBox="0 0 24 24" fill="currentColor"><circle cx="5" cy="12" r="1.8"/>'
    '<circle cx="12" cy="12" r="1.8"/><circle cx="19" cy="12" r="1.8"/></svg>'
)


def phone(w: World, *parts: str, back: str = "", bare: bool = False) -> Page:
    """A phone's screen: status bar (unless `bare`) and parts from top to bottom."""
    ground = f"background:{back};" if back else ""
    status = "" if bare else status_bar(w)
    body = f'<div class="screen" style="height:{w.height}px;{ground}">{status}{"".join(parts)}</div>'
    return Page(f"<style>{style(w.theme)}</style>{body}", w.height)


def status_bar(w: World, colour: str = "") -> str:
    """Time, signal, network and battery, in one of the orders that phones have."""
    hour, minute = w.moment.hour, w.moment.minute
    time = w.pick((f"{hour}:{minute:02}", f"{hour:02}:{minute:02}", f"{hour:02}:{minute:02}"))
    level = w.number(6, 100)
    battery = (
        f'<svg width="24" height="12" viewBox="0 0 24 12">'
        f'<rect x=".5" y=".5" width="20" height="11" rx="3" fill="none" '
        f'stroke="currentColor"/><rect x="2" y="2" width="{level * 17 // 100}" height="8" '
        f'rx="1.5" fill="currentColor"/>'
        '<rect x="21.5" y="4" width="2" height="4" fill="currentColor"/></svg>'
    )
    bars = "".join(
        f'<rect x="{at * 4}" y="{9 - at * 3}" width="3" height="{3 + at * 3}" fill="currentColor"/>'
        for at in range(4)
    )
    signal = f'<svg width="16" height="12" viewBox="0 0 16 12">{bars}</svg>'
    network = w.pick(("5G", "4G", "5G", "HD 5G", "Wi-Fi", ""))
    percent = f"<span>{level}%</span>" if w.maybe(0.4) else ""
    extra = w.pick(("", "", f"<span>{w.number(1, 900) / 10}KB/s</span>", "<span>静音</span>"))
    left, right = f"<span>{time}</span>{extra}", f"{signal}<span>{network}</span>{percent}{battery}"
    if w.maybe(0.2):
        left, right = f"{signal}<span>{network}</span>{extra}", f"{percent}{battery}<span>{time}</span>"
    tone = f"color:{colour}" if colour else ""
    return f'<div class="status" style="{tone}"><div>{left}</div><div>{right}</div></div>'


def head(w: World, title: str, side: str = "", *, fill: str = "", home: bool = False) -> str:
    """The bar with the title: an arrow back (unless `home`), the title, a word or dots at its end."""
    tone = f"background:{fill};color:#fff" if fill else "background:var(--c)"
    arrow = "" if home else _BACK
    end = (
        f'<span class="side" style="color:inherit">{side}</span>'
        if side
        else w.pick((_MORE, '<span class="side"></span>'))
    )
    place = " left" if w.theme.title_left else ""
    return f'<div class="head" style="{tone}">{arrow}<span class="t{place}">{title}</span>{end}</div>'


def main(*parts: str) -> str:
    """What fills the screen between head and foot; what does not fit is cut off."""
    return f'<div class="main">{"".join(parts)}</div>'


def foot(*parts: str, end: bool = False) -> str:
    return f'<div class="foot{" end" if end else ""}">{"".join(parts)}</div>'


def card(*parts: str) -> str:
    return f'<div class="card">{"".join(parts)}</div>'


def pairs(rows: Iterable[tuple[str, str]], *, near: bool = False) -> str:
    """Names and values, one pair a line."""
    kind = "kv near" if near else "kv"
    return "".join(
        f'<div class="{kind}"><span>{name}</span><span>{value}</span></div>' for name, value in rows
    )


def button(text: str, kind: str = "") -> str:
    """`kind`: a (outlined in the shop's colour), full, off, or nothing for a grey outline."""
    return f'<span class="btn {kind}">{text}</span>'


def tabs(names: Sequence[str], on: int = 0) -> str:
    marked = "".join(
        f'<span class="{"on" if at == on else ""}">{name}</span>' for at, name in enumerate(names)
    )
    return f'<div class="tabs">{marked}</div>'


def nav(w: World, names: Sequence[str], on: int) -> str:
    """The bar of an app's main places, at the bottom."""
    places = "".join(
        f'<div class="{"on" if at == on else ""}">{icon(w.rng)}<div>{name}</div></div>'
        for at, name in enumerate(names)
    )
    return f'<div class="nav">{places}</div>'


def picture(w: World, goods: Goods, width: int, height: int | None = None) -> str:
    size = f"width:{width}px;height:{height or width}px"
    return (
        f'<div class="pic" style="{size}">{goods_svg(goods.kind, goods.hue, w.rng, wide=bool(height))}</div>'
    )


def face(w: World, side: int = 36) -> str:
    return f'<div class="face" style="width:{side}px;height:{side}px">{face_svg(w.rng)}</div>'


def price(w: World, amount: float, kind: str = "a") -> str:
    """An amount as shops write it: often with small cents."""
    whole, cents = f"{amount:.2f}".split(".")
    tail = "" if cents == "00" and w.maybe(0.6) else f".{cents}"
    return f'<span class="{kind} b"><span class="s">¥</span>{whole}<span class="s">{tail}</span></span>'


def goods_row(w: World, goods: Goods, *, count: int = 1, tags: Sequence[str] = (), side: int = 78) -> str:
    """An article in a line: picture, title, choice, price, how many."""
    marks = "".join(f'<span class="tag soft">{tag}</span>' for tag in tags)
    choice = w.pick(
        (goods.choice, f"{goods.colour} {goods.size}", f"颜色分类:{goods.colour};规格:{goods.size}")
    )
    return (
        f'<div class="row top">{picture(w, goods, side)}<div class="grow col"><span>{goods.title}</span>'
        f'<span class="g s">{choice}</span><div>{marks}</div></div>'
        f'<div class="right">{price(w, goods.price, "")}<div class="g s">×{count}</div></div></div>'
    )


def shop_line(w: World, name: str = "") -> str:
    """The line over goods that says whose they are."""
    return (
        f'<div class="row b" style="margin-bottom:9px">{icon(w.rng, side=17)}'
        f'<span>{name or w.shop}</span><span class="g">›</span></div>'
    )
