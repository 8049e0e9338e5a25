"""Drawings without text: goods, faces, icons, maps, landscapes. SVG, coloured by seed."""

from __future__ import annotations

from random import Random

GOODS_SHAPES = {
    "shirt": '<path d="M30 22 L42 16 Q50 24 58 16 L70 22 L84 40 L72 48 L68 42 L68 84 L32 84 L32 '
    '42 L28 48 L16 40Z"/>'
    '<path d="M42 16 Q50 30 58 16" fill="none" stroke="#0005" stroke-width="2"/>',
    "shoe": '<path d="M14 62 Q14 44 24 40 L40 46 Q54 58 76 60 Q88 62 88 72 L14 72Z"/>'
    '<rect x="13" y="71" width="76" height="7" rx="3" fill="#fff" stroke="#0003"/>'
    '<path d="M36 47 l8 -5 M43 51 l8 -5 M50 55 l8 -5" stroke="#fff" stroke-width="2.5"/>',
    "bottle": '<rect x="36" y="30" width="28" height="56" rx="7"/>'
    '<rect x="42" y="14" width="16" height="16" rx="3" '
    'fill="#333a"/><rect x="38" y="46" width="24" height="24" fill="#fffc"/>'
    '<path d="M42 54h16M42 60h11" stroke="#0006" stroke-width="2"/>',
    "phone": '<rect x="28" y="12" width="44" height="76" rx="8" fill="#222"/>'
    '<rect x="31" y="16" width="38" height="68" '
    'rx="4"/><circle cx="50" cy="20" r="1.6" fill="#0008"/>'
    '<path d="M31 60 L52 40 L69 62 L69 84 L31 84Z" fill="#fff4"/>',
    "cup": '<path d="M24 30 H66 V66 Q66 82 50 82 H40 Q24 82 24 66Z"/>'
    '<path d="M66 38 h6 q12 0 12 12 t-12 12 h-6" '
    'fill="none" stroke="url(#FILL)" stroke-width="6"/>'
    '<ellipse cx="45" cy="30" rx="21" ry="5" fill="#0003"/>',
    "bag": '<path d="M20 40 H80 L86 86 H14Z"/><path d="M36 42 Q36 16 50 16 T64 42" '
    'fill="none" stroke="#4a3420" '
    'stroke-width="4"/><rect x="45" y="52" width="10" height="8" rx="2" fill="#e8c35a"/>',
    "lamp": '<path d="M34 16 H66 L78 46 H22Z"/><rect x="47" y="46" width="6" height="32" fill="#777"/>'
    '<rect x="30" y="78" width="40" height="7" rx="3" fill="#555"/>'
    '<ellipse cx="50" cy="47" rx="26" ry="4" fill="#fff9"/>',
    "box": '<path d="M50 20 L86 36 L86 72 L50 88 L14 72 L14 36Z"/>'
    '<path d="M14 36 L50 52 L86 36 M50 52 V88" fill="none" '
    'stroke="#0004" stroke-width="2"/><path d="M32 28 L68 44 L68 56" fill="none" '
    'stroke="#fff8" stroke-width="6"/>',
    "fruit": '<circle cx="36" cy="60" r="22"/><circle cx="64" cy="56" r="22"/>'
    '<circle cx="50" cy="70" r="20"/>'
    '<path d="M64 36 q2 -12 12 -16" fill="none" stroke="#5b3a1a" stroke-width="3"/>'
    '<ellipse cx="80" cy="24" rx="9" ry="5" fill="#3f9b46"/><circle cx="30" cy="52" r="5" fill="#fff6"/>',
    "chair": '<rect x="34" y="12" width="34" height="44" rx="8"/>'
    '<rect x="28" y="56" width="46" height="9" rx="4" '
    'fill="#333"/><path d="M51 65 V78 M30 88 L51 76 L72 88" stroke="#444" stroke-width="5" fill="none"/>',
    "headset": '<path d="M20 60 Q20 18 50 18 T80 60" fill="none" stroke="#444" stroke-width="7"/>'
    '<rect x="12" y="54" width="18" height="30" rx="8"/><rect x="70" y="54" width="18" height="30" rx="8"/>',
    "toy": '<circle cx="30" cy="24" r="11"/><circle cx="70" cy="24" r="11"/><circle cx="50" cy="38" r="25"/>'
    '<ellipse cx="50" cy="76" rx="25" ry="20"/><circle cx="41" cy="34" r="3" fill="#222"/>'
    '<circle cx="59" cy="34" r="3" fill="#222"/><ellipse cx="50" cy="45" rx="7" ry="5" fill="#fff9"/>',
}


def goods_svg(kind: str, hue: int, rng: Random, *, wide: bool = False, cut_out: bool = False) -> str:
    """A studio picture of an article: a backdrop, the article, its shadow.

    `wide` ones fill their frame, `cut_out` ones have no backdrop.
    """
    back = (hue + rng.choice((30, 150, 180, 210))) % 360
    light = rng.choice((90, 94, 97))
    turn, size = rng.uniform(-7, 7), rng.uniform(0.72, 0.98)
    fit = "slice" if wide else "meet"
    ground = "" if cut_out else f"background:hsl({back} 35% {light}%)"
    floor = f'<rect x="-100" y="78" width="300" height="200" fill="hsl({back} 28% {light - 9}%)"/>'
    mark = f"g{rng.randrange(10**9)}"
    return (
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="xMidYMid {fit}" '
        f'style="overflow:visible;{ground}">'
        f'<defs><linearGradient id="{mark}" x1="0" y1="0" x2="1" y2="1">'
        f'<stop offset="0" stop-color="hsl({hue} 62% 66%)"/>'
        f'<stop offset="1" stop-color="hsl({hue} 58% 40%)"/>'
        f"</linearGradient></defs>{'' if cut_out else floor}"
        f'<ellipse cx="50" cy="87" rx="34" ry="5" fill="#0002"/>'
        f'<g transform="translate(50 50) rotate({turn:.1f}) scale({size:.2f}) translate(-50 '
        f'-50)" fill="url(#{mark})">'
        f"{GOODS_SHAPES[kind].replace('FILL', mark)}</g></svg>"
    )


def face_svg(rng: Random) -> str:
    """A round portrait: a figure, or a plain pattern as many people have."""
    hue = rng.randrange(360)
    if rng.random() < 0.35:
        inner = f'<path d="M0 70 L35 35 L60 60 L80 42 L100 62 V100 H0Z" fill="hsl({hue} 40% 45%)"/>'
    else:
        inner = (
            f'<circle cx="50" cy="40" r="18" fill="hsl({hue} 45% 38%)"/>'
            f'<path d="M14 100 Q14 62 50 62 T86 100Z" fill="hsl({hue} 45% 38%)"/>'
        )
    return f'<svg viewBox="0 0 100 100" style="background:hsl({hue} 55% 82%)">{inner}</svg>'


_ICONS = (
    '<circle cx="12" cy="12" r="8"/>',
    '<rect x="4" y="5" width="16" height="14" rx="3"/>',
    '<path d="M12 4 L21 12 H18 V20 H6 V12 H3Z"/>',
    '<path d="M4 7 H20 L18 19 H6Z M9 7 V4 H15 V7"/>',
    '<path d="M12 4 l2.5 5.2 5.6 .6 -4.2 3.9 1.2 5.6 -5.1 -2.9 -5.1 2.9 1.2 -5.6 -4.2 -3.9 5.6 -.6Z"/>',
    '<circle cx="12" cy="8" r="4"/><path d="M4 20 Q4 13 12 13 T20 20"/>',
    '<path d="M4 6 H20 V16 H11 L7 20 V16 H4Z"/>',
    '<path d="M3 8 H15 V17 H3Z M15 11 H19 L21 14 V17 H15Z"/>',
)


def icon(rng: Random, *, colour: str = "currentColor", side: int = 22) -> str:
    """A line icon, as menus have them."""
    return (
        f'<svg width="{side}" height="{side}" viewBox="0 0 24 24" fill="none" stroke="'
        f'{colour}" stroke-width="1.7">'
        f"{rng.choice(_ICONS)}</svg>"
    )


def tick(colour: str, side: int = 54) -> str:
    """The round mark of something done."""
    return (
        f'<svg width="{side}" height="{side}" viewBox="0 0 24 24">'
        f'<circle cx="12" cy="12" r="11" fill="{colour}"/>'
        '<path d="M6.5 12.5 l3.7 3.7 7.3 -8" fill="none" stroke="#fff" stroke-width="2"/></svg>'
    )


def alarm(colour: str, side: int = 46) -> str:
    """The triangle of something wrong, drawn without a letter."""
    return (
        f'<svg width="{side}" height="{side}" viewBox="0 0 24 24">'
        f'<path d="M12 3 L22 21 H2Z" fill="{colour}"/>'
        '<path d="M12 9 V15 M12 17 V19" stroke="#fff" stroke-width="2"/></svg>'
    )


def map_svg(rng: Random) -> str:
    """Streets, water, and the parcel's way across them."""
    roads = "".join(
        f'<path d="M{rng.randrange(-20, 300)} 0 L{rng.randrange(40, 380)} 240" '
        f'stroke="#fff" stroke-width="{width}"/>'
        f'<path d="M0 {rng.randrange(0, 240)} L360 {rng.randrange(0, 240)}" stroke="#fffc" '
        f'stroke-width="{width}"/>'
        for width in (9, 5, 4, 3)
    )
    x0, y0, x1, y1 = (
        rng.randrange(40, 90),
        rng.randrange(120, 200),
        rng.randrange(240, 310),
        rng.randrange(40, 90),
    )
    way = f"M{x0} {y0} Q{rng.randrange(100, 250)} {rng.randrange(30, 210)} {x1} {y1}"
    water = (
        f"M0 {rng.randrange(60, 200)} Q140 {rng.randrange(80, 230)} 360 "
        f"{rng.randrange(160, 230)} L360 240 L0 240Z"
    )
    return (
        '<svg viewBox="0 0 360 240" preserveAspectRatio="xMidYMid slice" style="background:#e9ebe3">'
        f'<path d="{water}" fill="#bcd9ee"/>{roads}<path d="{way}" fill="none" '
        f'stroke="#ff6a00" stroke-width="4" '
        f'stroke-dasharray="8 5"/><circle cx="{x0}" cy="{y0}" r="7" fill="#1aad4b"/>'
        f'<circle cx="{x1}" cy="{y1}" r="7" fill="#e1251b"/></svg>'
    )


def landscape_svg(rng: Random) -> str:
    """Sky, sun, hills and water at some hour."""
    hue, low = rng.choice(((205, 60), (28, 70), (330, 70), (260, 45))), rng.randrange(52, 66)
    mark = f"s{rng.randrange(10**9)}"
    green = rng.choice((120, 96, 70, 34, 196))
    hills = "".join(
        f'<path d="M-10 {low + at * 7} Q{rng.randrange(5, 45)} {low - rng.randrange(14, 34) + at * 8} '
        f'{rng.randrange(45, 62)} {low + at * 6} T110 {low + at * 6} V110 H-10Z" '
        f'fill="hsl({green + at * 14} 28% {46 - at * 9}%)"/>'
        for at in range(3)
    )
    return (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="xMidYMid slice" '
        'style="display:block;width:100%;height:100%">'
        f'<defs><linearGradient id="{mark}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" '
        f'stop-color="hsl({hue[0]} {hue[1]}% 58%)"/><stop offset="1" stop-color="hsl({hue[0]} 80% 90%)"/>'
        f'</linearGradient></defs><rect width="100" height="100" fill="url(#{mark})"/>'
        f'<circle cx="{rng.randrange(15, 85)}" cy="{rng.randrange(14, 40)}" r="7" '
        f'fill="#fff3c4"/>{hills}</svg>'
    )
