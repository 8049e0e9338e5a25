"""The comparison as one page for a browser. An archive of an ablation carries this."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from datakit.ablation import telling
from datakit.ablation.comparing import Comparison
from datakit.ablation.hours import Cost
from datakit.core.clock import utc_now

_WIDTH, _LEFT, _ROW, _TOP, _EDGE = 760, 270, 28, 24, 24
_LONGEST = 40
_PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Ablation of {{ recipe }}</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; text-align: left }
th { border-bottom: 1px solid } td.n, th.n { text-align: right; white-space: nowrap }
td.n { font-variant-numeric: tabular-nums }
tr + tr td { border-top: 1px solid #8884 } .wide { overflow-x: auto } svg { max-width: 100%; height: auto }
.ends { stroke: #2a78d6; stroke-width: 2 } .zero { stroke: currentColor; stroke-dasharray: 4 }
svg text { fill: currentColor; font-size: 13px } .noise { opacity: .65 }
</style>
<h1>Ablation of {{ recipe }}</h1>
<p>One thing changed at a time, and the model trained anew: accuracy less that of the base, on the same
{{ "{:,}".format(result.records) }} held-out records. {{ when }}</p>
{% if rows %}
<div class="wide"><table>
<tr>{% for cell in head %}<th{% if loop.index0 in right %} class="n"{% endif %}>{{ cell }}</th>
{%- endfor %}</tr>
{% for row in rows %}
<tr{% if row[-1] == "noise" %} class="noise"{% endif %}>
{%- for cell in row %}<td{% if loop.index0 in right %} class="n"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
<svg viewBox="0 0 {{ width }} {{ height }}" role="img" aria-label="Accuracy less that of the base, in points">
<line class="zero" x1="{{ zero }}" x2="{{ zero }}" y1="4" y2="{{ height - 22 }}"/>
{% for dot in dots %}
<text x="0" y="{{ dot.y + 4 }}">{{ dot.name }}</text>
<line class="ends" x1="{{ dot.low }}" x2="{{ dot.high }}" y1="{{ dot.y }}" y2="{{ dot.y }}"/>
<circle cx="{{ dot.at }}" cy="{{ dot.y }}" r="5" fill="#2a78d6"/>
{% endfor %}
{% for tick in ticks %}
<text x="{{ tick[0] }}" y="{{ height - 6 }}" text-anchor="middle">{{ tick[1] }}</text>
{% endfor %}
</svg>
<p>Points of accuracy less the base, with 95% intervals.</p>
{% endif %}
<ul>{% for line in lines %}<li>{{ line }}</li>{% endfor %}</ul>
</html>
"""


@dataclass(frozen=True)
class _Dot:
    name: str
    y: int
    at: float
    low: float
    high: float


def write_report(out: Path, recipe: str, result: Comparison, planned: Sequence[Cost]) -> None:
    """Puts the page in its place, whole or not at all: table, plot, power, and the next experiment."""
    head, rows = telling.table(result) if result.effects else ((), [])
    dots, ticks = _plot(result)
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    text = page.render(
        recipe=recipe,
        when=f"Written {utc_now()}.",
        result=result,
        head=head,
        rows=rows,
        right=range(1, 8),
        dots=dots,
        ticks=ticks,
        zero=ticks[0][0],
        width=_WIDTH,
        height=_TOP + _ROW * len(dots) + _TOP,
        lines=list(lines(result, planned)),
    )
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    draft.write_text(text, "utf-8")
    os.replace(draft, out)


def lines(result: Comparison, planned: Sequence[Cost]) -> list[str]:
    """What is said below the table."""
    found: list[str] = []
    power = telling.power_of(result.records, len(result.effects), result) if result.effects else None
    if power is not None:
        found.append(power.words())
    found += [f"Note: {note}" for note in (*telling.notes_on(result), *result.notes)]
    if result.base is None:
        found.append("The base has no answers yet, so nothing can be compared.")
    if result.unanswered:
        found.append(f"Not answered yet: {', '.join(result.unanswered)}")
    elif power is not None and power.smallest is None:
        found.append("Next: more held-out records; with these nothing can be told, whatever is trained")
    elif power is not None:
        found.append(telling.next_experiment(result, planned).words())
    return found


def _plot(result: Comparison) -> tuple[list[_Dot], list[tuple[float, str]]]:
    """The dot of each change with the ends of its interval; and where 0 and the outermost ends stand."""
    figures = [
        (own.change.words, result.effects[own.change.name].figures["accuracy"])
        for own in result.changes
        if own.change.name in result.effects
    ]
    least = min([0.0, *(figure.low for _, figure in figures)])
    most = max([0.0, *(figure.high for _, figure in figures)])
    scale = (_WIDTH - _LEFT - 2 * _EDGE) / ((most - least) or 1.0)

    def place(value: float) -> float:
        return round(_LEFT + _EDGE + (value - least) * scale, 1)

    dots = [
        _Dot(
            words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…",
            _TOP + _ROW * at,
            *(place(end) for end in (figure.value, figure.low, figure.high)),
        )
        for at, (words, figure) in enumerate(figures)
    ]
    ticks = [(place(0.0), "0")]
    ticks += [(place(end), f"{100 * end:+.1f}") for end in (least, most) if abs(end) * scale > 2 * _EDGE]
    return dots, ticks
