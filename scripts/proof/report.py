"""docs/explanation/proof.md out of a results file: the same figures give the same page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from datakit.evaluation.bootstrap import mcnemar
from datakit.evaluation.explaining import attribute
from datakit.evaluation.metrics import wilson
from datakit.evaluation.pooled import Effect, compare, holm
from datakit.evaluation.power import smallest_seen
from proof.variants import AGAIN

SEED = 7
GIB = 1 << 30
WANTED, RECOVERED, NEAR = 0.97, 0.8, 0.01
"""What was wanted beforehand: accuracy of the plain recipe, share of the noise's cost that corrected labels
bring back, and how near two ways of asking one model are."""
HEAD = """# What helped, on a GPU

<!-- Written by scripts/gpu_proof.py report of scripts/proof/{file}; a change of either is made there. -->

A small Qwen2.5-VL learns screens of a shop app from nothing, recipe by recipe, each one change away from
another, and every model is asked about the same {held_out:,} held-out screens of a seed of their own. What a
change did is the difference record by record. Such a model knows no language and has never seen a picture:
what helps it need not help a pretrained one as much, or at all.
"""


@dataclass(frozen=True)
class Results:
    """A results file, read."""

    document: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.document["facts"]  # type: ignore[no-any-return]

    @property
    def variants(self) -> Mapping[str, Any]:
        return self.document["variants"]  # type: ignore[no-any-return]

    @cached_property
    def truth(self) -> Any:
        return np.array(self.document["truth"], dtype=np.int64)

    def answers(self, name: str) -> Any:
        return np.array(self.variants[name]["answers"], dtype=np.int64)

    def accuracy(self, name: str) -> float:
        return float((self.answers(name) == self.truth).mean())

    def runs_of(self, name: str) -> list[str]:
        """The variant, and those that differ from it in nothing but the trainer's seed."""
        again = [other for other, base in self.pairs if base == name and self.about(other)["change"] == AGAIN]
        return [name, *again]

    def mean_of(self, name: str) -> float:
        """Accuracy, as the mean of all runs of this recipe."""
        return float(np.mean([self.accuracy(run) for run in self.runs_of(name)]))

    def about(self, name: str) -> Mapping[str, Any]:
        return self.facts["variants"][name]  # type: ignore[no-any-return]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each variant that has answered, with the one it is compared with where that has too."""
        return [
            (name, self.about(name)["base"])
            for name in self.variants
            if self.about(name)["base"] in self.variants
        ]

    @cached_property
    def effects(self) -> dict[str, Effect]:
        """What each change did; p is corrected for all changes of the page."""
        found: dict[str, Effect] = {}
        for name, base in self.pairs:
            both = {base: self.answers(base)[None], name: self.answers(name)[None]}
            found |= compare(self.truth, both, base, seed=SEED)
        corrected = holm([effect.p for effect in found.values()])
        return {
            name: Effect(**{**vars(effect), "p_holm": p})
            for (name, effect), p in zip(found.items(), corrected, strict=True)
        }


def page(path: Path) -> str:
    """The whole page."""
    results = Results(json.loads(path.read_text("utf-8")))
    parts = [HEAD.format(file=path.name, held_out=len(results.truth)), *_sections(results)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _sections(results: Results) -> Iterator[str]:
    yield "## What each change did\n"
    yield from _changes(results)
    yield "## What was wanted, and what came\n"
    yield "".join(f"- {line}\n" for line in _goals(results))
    if len(results.variants) > 2:
        yield "## Shared out to the lines of the recipes\n"
        yield from _explained(results)
    yield "## Planned and real\n"
    yield from _planned(results)
    yield "## How it was made\n"
    yield "".join(f"- {line}\n" for line in _how(results))
    if results.document["not_run"]:
        yield "## What could not run\n"
        yield "".join(f"- `{name}`: {_short(why)}\n" for name, why in results.document["not_run"].items())


def _changes(results: Results) -> Iterator[str]:
    head = ("recipe", "change", "to", "rows", "right", "accuracy", "points", "95% interval", "p", "verdict")
    rows = []
    for name in results.variants:
        right, of = int((results.answers(name) == results.truth).sum()), len(results.truth)
        interval = wilson(right, of)
        about = results.about(name)
        own = [
            f"`{name}`", about["change"], f"`{about['base']}`" if about["base"] else "",
            f"{about['train']:,}",
            str(right), f"{right / of:.1%} ({interval.low:.1%} to {interval.high:.1%})",
        ]  # fmt: skip
        effect = results.effects.get(name)
        if effect is None:
            rows.append([*own, "", "", "", ""])
            continue
        figure = effect.figures["accuracy"]
        between = f"{100 * figure.low:+.1f} to {100 * figure.high:+.1f}"
        rows.append([*own, f"{100 * figure.value:+.1f}", between, f"{effect.p_holm:.2g}", effect.verdict])
    yield _table(head, rows)
    if results.effects:
        discordant = float(np.mean([effect.discordant for effect in results.effects.values()]))
        least = smallest_seen(len(results.truth), discordant, 0.05 / len(results.effects))
        seen = "no difference at all is" if least is None else f"a difference of {100 * least:.1f} points is"
        yield (
            "Intervals are of a paired bootstrap over records, p of McNemar's exact "
            f"test, corrected for {len(results.effects)} comparisons (Holm); the luck of a training is in "
            "neither"
            + (": another seed shows it" if "again" in results.variants else "")
            + f". With so many records and {discordant:.1%} of them answered otherwise, {seen} seen in 8 "
            "of 10 runs.\n"
        )


def _goals(results: Results) -> Iterator[str]:
    variants = results.variants
    if "plain" in variants:
        reached = [
            f"{_whether(results.accuracy(name) >= WANTED)} with {results.about(name)['train']:,} screens, "
            f"{results.accuracy(name):.1%}"
            for name in ("plain", "twice")
            if name in variants
        ]
        yield f"The plain recipe names at least {WANTED:.0%}: {'; '.join(reached)}."
    if {"quarter", "noisy", "corrected"} <= variants.keys():
        clean, noisy, corrected = (results.mean_of(name) for name in ("quarter", "noisy", "corrected"))
        cost = clean - noisy
        text = f"Corrected labels bring back at least {RECOVERED:.0%} of what 5% of wrong labels cost: "
        if cost <= 0:
            text += f"nothing to bring back, the wrong labels cost {100 * cost:.1f} points."
        else:
            share = (corrected - noisy) / cost
            text += (
                f"{_whether(share >= RECOVERED)}, {100 * (corrected - noisy):+.1f} of {100 * cost:.1f} points"
                f" ({share:.0%})"
            )
            twice = [name for name in ("quarter", "noisy", "corrected") if len(results.runs_of(name)) > 1]
            text += f", {_names(twice)} trained twice" if twice else ""
            text += "." if results.effects["noisy"].p_holm < 0.05 else "; that cost is within the noise."
        yield text
    vllm = results.document["vllm"]
    if vllm and "plain" in variants:
        said, own = np.array(vllm["answers"]), results.answers("plain")
        apart = float((said == results.truth).mean()) - results.accuracy("plain")
        only = [
            int(((a == results.truth) & (b != results.truth)).sum()) for a, b in ((said, own), (own, said))
        ]
        yield (
            f"vLLM and transformers are within one point: {_whether(abs(apart) <= NEAR)}, {100 * apart:+.2f} "
            f"points; {int((said != own).sum())} of {len(own)} answers differ (p {mcnemar(*only):.2g})."
        )
    killed = variants.get("few", {}).get("killed_at")
    if killed:
        yield (
            f"A training that is killed goes on: `few` was killed with {killed[-1]} written, and the same "
            f"call ended it at step {variants['few']['steps']}."
        )


def _explained(results: Results) -> Iterator[str]:
    names = list(results.variants)
    texts = [_line(results, name) for name in names]
    right = np.array([results.answers(name) == results.truth for name in names], dtype=np.float64)
    lines, noise = attribute(right, texts, [1] * len(names))
    rows = []
    for line in lines:
        value = line.effect
        between = f"{100 * value.low:+.1f} to {100 * value.high:+.1f}"
        words = "; ".join(line.texts) + ("" if line.separable else " (not told apart)")
        rows.append([words, f"{100 * value.value:+.1f}", between, f"{line.p_holm:.2g}", line.verdict])
    yield _table(("line", "points", "95% interval", "p", "verdict"), rows)
    luck = (
        "which no recipe was trained twice to tell"
        if noise is None
        else f"a standard deviation of {100 * noise:.1f} points"
    )
    yield (
        "All recipes together, as `datakit scores --explain` does: a regression with effects drawn towards "
        f"nothing that knows that the records are the same, and with the luck of a training, {luck}.\n"
    )


def _line(results: Results, name: str) -> list[str]:
    """The changes on the way from the first recipe to this one."""
    about = results.about(name)
    if not about["base"]:
        return []
    own = [] if about["change"] == AGAIN else [f"`{name}`: {about['change']}"]
    return [*_line(results, about["base"]), *own]


def _planned(results: Results) -> Iterator[str]:
    vllm, memory, plain = results.document["vllm"], results.document["memory"], results.variants.get("plain")
    planned = results.facts["variants"].get("plain", {})
    rows = []
    if memory and plain:
        real = (memory["peak_mib"] - memory["before_mib"]) / 1024
        rows.append(_pair("memory of the training, GiB", planned["needs"]["gpu_bytes"] / GIB, real))
    if vllm and planned.get("serving"):
        own = planned["serving"]["memory"]
        tokens = own["cache"] / own["bytes_per_token"]
        rows.append(_pair("tokens in vLLM's cache", tokens, vllm.get("cache_tokens")))
        rows.append(_pair("weights in vLLM, GiB", own["weights"] / GIB, vllm.get("weights_gib")))
    if plain:
        rows.append(_pair("seconds a training step", planned.get("step_s"), plain.get("step_s")))
    if vllm:
        rows.append(_pair("seconds until vLLM answers", planned.get("start_s"), vllm.get("start_s")))
    yield _table(("figure", "planned", "real", "real to planned"), rows)
    alone = (
        "trained alone" if _gpus(results) == 1 else "alone on its GPU, while all others shared the processors"
    )
    yield f"A dash: not planned, or not measured. Steps and memory are those of `plain`, {alone}.\n"
    head = (
        "recipe",
        "steps",
        "training, s",
        "a step, s",
        "check to export, s",
        "asked in, s",
        "first, last loss",
    )
    yield _table(
        head,
        [
            [
                f"`{name}`", str(row["steps"]), str(row["train_s"]), _figure(row["step_s"]),
                f"{row['handoff_s']:.0f}",
                f"{row['transformers_s']:.0f}", f"{row['losses'][0]:.2f}, {row['losses'][-1]:.3f}",
            ]
            for name, row in results.variants.items()
        ],
    )  # fmt: skip
    where = "one GPU" if _gpus(results) == 1 else f"{_gpus(results)} GPUs"
    yield f"All but `plain` were trained side by side on {where}, so that their seconds tell little.\n"
    for run in results.document["later_runs"]:
        own = run["machine"]
        what = f"{own['gpu']}, {own['cores']} cores, {own['date']}" if own else "another day's machine"
        yield f"Of a later run ({what}): {_names(run['variants'])}.\n"


def _gpus(results: Results) -> int:
    return int(results.document["machine"].get("gpus", 1))


def _how(results: Results) -> Iterator[str]:
    facts, machine = results.facts, results.document["machine"]
    screens = facts["screens"]
    yield (
        f"{machine['gpu'] or 'no GPU'} (name, MiB), {machine['cores']} cores, {machine['date']}; Python "
        f"{machine['python']}, torch {machine['torch']}, transformers {machine['transformers']}, LLaMA-"
        f"Factory {machine['llamafactory']}, vLLM {machine['vllm']}."
    )
    first = next(iter(facts["variants"].values()))["needs"]
    yield (
        f"{first['parameters'] / 1e6:.1f} million weights; steps of {facts['batch']} screens of at most "
        f"{facts['pixels']:,} pixels: "
        + "".join(f"{steps:,} for `{name}`, " for name, steps in facts["many_steps"].items())
        + f"{facts['steps']:,} for every other recipe."
    )
    yield (
        f"{screens['train']:,} training screens for `plain`, "
        + (f"{screens['twice']:,} for `twice`, " if "twice" in facts["many_steps"] else "")
        + f"{screens['quarter']:,} of them for the others; "
        f"{screens['held_out']} held out; {screens['few']} for `few`, {screens['pool']:,} more without their "
        "labels for `pseudo`."
    )
    yield f"`noisy`: {facts['planted']} labels are any other one."
    found = facts.get("correction")
    if found:
        yield (
            f"`corrected`: {found['relabelled']} labels were doubted and replaced by the suggestion, "
            f"{found['to_the_truth']} of them by the true one; {found['were_right']} had been right."
        )
    pseudo = facts["variants"].get("pseudo")
    if pseudo:
        kept = pseudo["train"] - screens["few"]
        yield f"`pseudo`: {kept} labels of training are predictions, {pseudo['wrong_labels']} of them wrong."
    yield f"`tail`: {', '.join(str(count) for count in reversed(facts['tail']))} screens a class."
    yield "The recipes: scripts/proof/variants.py; `scripts/gpu_proof.py prepare` writes and builds them."


def _pair(what: str, planned: float | None, real: float | None) -> list[str]:
    ratio = f"{real / planned:.3f}" if planned and real else "–"
    return [what, _figure(planned), _figure(real), ratio]


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _whether(reached: bool) -> str:
    return "reached" if reached else "not reached"


def _short(text: str, most: int = 200) -> str:
    plain = " ".join(text.split()).replace("|", "/").replace("<", "&lt;")
    return plain if len(plain) <= most else f"{plain[:most]}…"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
