"""The look of a screen: colours, corners, type size, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

ACCENTS = (
    "#ff5000",
    "#e1251b",
    "#ff2442",
    "#fa6400",
    "#d81e5b",
    "#0a7cff",
    "#1aad4b",
    "#7a3ff2",
    "#c8932b",
    "#00a6a6",
)


@dataclass(frozen=True)
class Theme:
    accent: str
    second: str
    """Fill of the button beside the main one."""
    dark: bool
    back: str
    card: str
    ink: str
    grey: str
    rule: str
    radius: int
    gap: int
    size: float
    """Type size of the running text, CSS px."""
    font: str
    button_radius: int
    title_left: bool


def draw_theme(rng: Random, fonts: Sequence[str]) -> Theme:
    dark = rng.random() < 0.12
    light_back = rng.choice(("#f4f4f4", "#f5f5f9", "#f2f3f5", "#ffffff", "#f7f5f2"))
    back, card, ink, grey, rule = (
        ("#101012", "#1d1d20", "#ececec", "#9a9a9f", "#303034")
        if dark
        else (light_back, "#ffffff", rng.choice(("#1c1c1c", "#222226", "#111111")), "#8c8c90", "#ececee")
    )
    return Theme(
        accent=rng.choice(ACCENTS),
        second=rng.choice(("#ffb000", "#ff9500", "#3a3a3f", "#f5a623")),
        dark=dark,
        back=back,
        card=card,
        ink=ink,
        grey=grey,
        rule=rule,
        radius=rng.choice((0, 6, 10, 14)),
        gap=rng.choice((6, 8, 10, 12)),
        size=rng.choice((12.5, 13, 13, 13.5, 14)),
        font=rng.choice(tuple(fonts)),
        button_radius=rng.choice((4, 8, 20, 20, 24)),
        title_left=rng.random() < 0.3,
    )


def style(theme: Theme) -> str:
    """The style sheet: one set of classes for all layouts."""
    return _VARIABLES.format(**vars(theme), soft=_soft(theme)) + _RULES


def _soft(theme: Theme) -> str:
    red, green, blue = (int(theme.accent[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{0.25 if theme.dark else 0.09})"


_VARIABLES = """
:root{{--a:{accent};--s:{second};--b:{back};--c:{card};--i:{ink};--g:{grey};--l:{rule};--r:{radius}px;--p:{gap}px;
--br:{button_radius}px;--soft:{soft}}}
body{{font:{size}px/1.5 "{font}";color:{ink}}}
"""
_RULES = """
*{box-sizing:border-box;margin:0;padding:0}
body{width:360px;overflow:hidden;-webkit-text-size-adjust:none}
.screen{position:relative;width:360px;overflow:hidden;background:var(--b);display:flex;flex-direction:column}
.main{flex:1;overflow:hidden;position:relative}
.status{display:flex;justify-content:space-between;align-items:center;height:28px;padding:0 16px;
font-size:12px;flex:none;z-index:1}
.status div{display:flex;gap:5px;align-items:center}
.head{height:44px;display:flex;align-items:center;padding:0 12px;gap:10px;flex:none;font-size:16px}
.head .t{flex:1;text-align:center;font-weight:bold;white-space:nowrap;overflow:hidden}
.head .t.left{text-align:left}
.head .side{font-size:13px;min-width:26px;text-align:right;color:var(--i)}
.card{background:var(--c);border-radius:var(--r);margin:var(--p) var(--m,10px);padding:12px}
.flat{background:var(--c);padding:12px;margin-bottom:8px}
.row{display:flex;gap:10px;align-items:center}
.top{align-items:flex-start}
.grow{flex:1;min-width:0}
.col{display:flex;flex-direction:column;gap:4px}
.g{color:var(--g)}.a{color:var(--a)}.b{font-weight:bold}.w{color:#fff}
.s{font-size:12px}.xs{font-size:11px}.l{font-size:16px}.xl{font-size:20px}.xxl{font-size:32px;line-height:1.2}
.c{text-align:center}.right{text-align:right}.nw{white-space:nowrap;flex:none}
.kv{display:flex;justify-content:space-between;gap:16px;padding:5px 0}
.kv>:first-child{color:var(--g);flex:none}
.kv>:last-child{text-align:right}
.kv.near{justify-content:flex-start}.kv.near>:last-child{text-align:left}
.rule{border-top:1px solid var(--l);margin:8px 0}
.line{border-bottom:1px solid var(--l);padding:11px 0}
.line:last-child{border:0}
.tag{display:inline-block;font-size:11px;line-height:16px;padding:0 5px;border:1px solid var(--a);
color:var(--a);border-radius:3px;margin-right:5px;white-space:nowrap}
.tag.soft{border-color:transparent;background:var(--soft)}
.btn{display:inline-block;padding:5px 13px;border:1px solid var(--g);border-radius:var(--br);font-size:13px;
white-space:nowrap;flex:none}
.btn.a{border-color:var(--a);color:var(--a)}
.btn.full{background:var(--a);border-color:var(--a);color:#fff}
.btn.off{background:#c9c9cc;border-color:#c9c9cc;color:#fff}
.wide{display:block;text-align:center;background:var(--a);color:#fff;border-radius:var(--br);padding:10px;
font-size:16px;margin:12px 16px}
.wide.line2{background:none;border:1px solid var(--a);color:var(--a)}
.foot{flex:none;background:var(--c);border-top:1px solid var(--l);padding:8px 12px;display:flex;gap:8px;
align-items:center;min-height:52px}
.foot.end{justify-content:flex-end}
.tabs{display:flex;justify-content:space-around;padding:8px 4px;background:var(--c);flex:none;
white-space:nowrap}
.tabs .on{color:var(--a);font-weight:bold;border-bottom:2px solid var(--a);padding-bottom:3px}
.nav{flex:none;display:flex;justify-content:space-around;background:var(--c);border-top:1px solid var(--l);
padding:5px 0 7px;font-size:11px;text-align:center}
.nav .on{color:var(--a)}
.pill{display:inline-block;padding:3px 11px;border-radius:14px;background:var(--soft);margin:0 6px 7px 0;
font-size:12px;white-space:nowrap}
.pill.on{background:var(--a);color:#fff}
.opt{display:inline-block;padding:5px 13px;border-radius:5px;background:rgba(128,128,128,.13);
margin:0 8px 9px 0;border:1px solid transparent;white-space:nowrap}
.opt.on{border-color:var(--a);color:var(--a);background:var(--soft)}
.opt.none{color:var(--g);opacity:.6}
.pic{flex:none;border-radius:calc(var(--r)*.6);overflow:hidden;position:relative}
.pic svg{display:block;width:100%;height:100%}
.face{flex:none;border-radius:50%;overflow:hidden;width:36px;height:36px}
.c>.face{margin:0 auto}
.face svg{display:block;width:100%;height:100%}
.scrim{position:absolute;inset:0;background:rgba(0,0,0,.55);pointer-events:none;z-index:2}
.scrim.over{z-index:4}
.sheet{position:absolute;left:0;right:0;bottom:0;background:var(--c);border-radius:14px 14px 0 0;z-index:3}
.box{position:absolute;left:36px;right:36px;background:var(--c);border-radius:12px;z-index:5;text-align:center;
overflow:hidden}
.toast{position:absolute;left:50%;transform:translateX(-50%);background:rgba(20,20,20,.88);color:#fff;
border-radius:8px;padding:12px 18px;z-index:5;text-align:center;max-width:270px;width:max-content}
.grid2{display:grid;grid-template-columns:1fr 1fr;gap:8px;padding:8px}
.grid4{display:grid;grid-template-columns:repeat(4,1fr);gap:10px;text-align:center;font-size:12px}
.grid5{display:grid;grid-template-columns:repeat(5,1fr);gap:6px;text-align:center;font-size:12px}
.dot{width:18px;height:18px;border-radius:50%;border:1.5px solid var(--g);flex:none}
.dot.on{background:var(--a);border-color:var(--a);box-shadow:inset 0 0 0 4px var(--c)}
.time{position:relative;padding:0 0 14px 22px}
.time:before{content:"";position:absolute;left:4px;top:7px;width:9px;height:9px;border-radius:50%;background:#c8c8cc}
.time:after{content:"";position:absolute;left:8px;top:18px;bottom:-6px;width:1px;background:var(--l)}
.time.on:before{background:var(--a)}
.time:last-child:after{display:none}
.bubble{max-width:232px;padding:8px 11px;border-radius:10px;background:var(--c)}
.mine{flex-direction:row-reverse}
.mine .bubble{background:var(--mine,#dcf5c8);color:#1c1c1c}
.input{background:rgba(128,128,128,.12);border-radius:var(--r);padding:9px 11px;color:var(--g)}
.plus{width:66px;height:66px;border:1px dashed var(--g);border-radius:6px;display:flex;flex-direction:column;
align-items:center;justify-content:center;color:var(--g);font-size:11px;flex:none}
.badge{background:var(--a);color:#fff;border-radius:8px;font-size:10px;padding:0 5px}
"""
