"""The audit of a label file against the text that OCR read and the mistakes of the last evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import edit_of_build
from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from datakit.core.shown_path import plain_path
from datakit.evaluation.label_audit.claims import Clause, bears, clauses, tells_apart
from datakit.evaluation.label_audit.class_texts import ClassTexts, class_texts
from datakit.evaluation.label_audit.findings import Claim, Fit, Keyword, LabelAudit, LabelPair
from datakit.evaluation.label_audit.last_evaluation import Mistakes, last_mistakes
from datakit.evaluation.proposals import AT_LEAST, sentence

FEW = 3
"""Texts of a class from which claims and keywords are judged: of fewer, chance speaks."""
RARE = 0.1
"""Share of a class's texts below which a keyword of it is rare, from RARE_FROM texts on."""
RARE_FROM = 20
ALIKE = 0.1
"""Share of the texts of two classes, two at least, from which they are alike: nearer to the other one."""
_FIELDS = ("description", "short", "keywords", "confusable_with")


def labels_path(build: BuildFolder) -> Path:
    """The label file that the recipe of a build names."""
    recipe = (build.whole or build).path.absolute().parent.parent / build.report.recipe
    return plain_path(recipe.parent / str(build.recipe.get("labels", "")))


def audit(build: BuildFolder) -> LabelAudit:
    """What the label file of a build says and its pictures do not. Raises UserError without labels or OCR."""
    labels = build.labels
    if labels is None:
        raise UserError(
            f"{build.path} has no label file", remedy="Name one in the recipe (`labels:`), and build again."
        )
    texts = class_texts(build, labels)
    mistakes = last_mistakes(build, labels)
    judged = [label for label in labels.labels if len(texts.texts[label.name]) >= FEW]
    return LabelAudit(
        build=build.place(str(build.path.absolute())),
        labels_file=build.place(str(labels_path(build))),
        column=texts.column,
        records=sum(texts.records.values()),
        read=sum(map(len, texts.texts.values())),
        evaluation=mistakes.source if mistakes else "",
        evaluation_is_of_build=bool(mistakes and mistakes.is_of_build),
        fits=_fits(labels, texts, mistakes),
        claims=sorted(
            (claim for label in judged for claim in _claims(label, texts)),
            key=lambda claim: ("denied", "elsewhere", "nowhere").index(claim.kind),
        ),
        keywords=sorted(
            (word for label in judged for word in _keywords(label, judged, texts)),
            key=lambda word: ("elsewhere", "never", "rare").index(word.kind),
        ),
        pairs=_pairs(labels, texts, mistakes),
        without={
            name: [label.name for label in labels.labels if not getattr(label, name)] for name in _FIELDS
        },
        few={name: len(read) for name, read in texts.texts.items() if len(read) < FEW},
        edited=edit_of_build(build),
    )


def _fits(labels: LabelSet, texts: ClassTexts, mistakes: Mistakes | None) -> list[Fit]:
    """Every class with a text and a description, the worst first."""
    nearest = texts.nearest_description([label.description for label in labels.labels])
    fits = []
    for label in labels.labels:
        count = nearest[label.name].total()
        if not count or not label.description:
            continue
        others = nearest[label.name].copy()
        own = others.pop(label.name, 0)
        rival, rival_fits = max(others.items(), key=lambda entry: entry[1], default=("", 0))
        answers = mistakes.of(label.name) if mistakes else {}
        fits.append(
            Fit(
                label=label.name,
                records=count,
                fits=own,
                rival=rival,
                rival_fits=rival_fits,
                wrong=sum(answers.values()),
                support=mistakes.support.get(label.name, 0) if mistakes else 0,
                answered=max(answers, key=lambda name: answers[name], default=""),
            )
        )
    return sorted(fits, key=lambda fit: (fit.fits / fit.records, -fit.wrong, -fit.records))


def _claims(label: Label, texts: ClassTexts) -> Iterator[Claim]:
    own = texts.forms[label.name]
    for clause in clauses(label.description):
        if clause.denied:
            absent = sum(not bears(form, clause.denied) for form in own)
            if absent <= len(own) / 2:
                yield Claim(
                    label=label.name, clause=clause.text, kind="denied", records=len(own), holds=absent
                )
        if clause.claimed and not any(bears(form, clause.claimed) for form in own):
            yield _never_borne(label, clause, texts)


def _never_borne(label: Label, clause: Clause, texts: ClassTexts) -> Claim:
    held = {
        name: sum(bears(form, clause.claimed) for form in forms)
        for name, forms in texts.forms.items()
        if name != label.name
    }
    other = max(held, key=lambda name: held[name], default="")
    is_elsewhere = bool(other) and held[other] >= AT_LEAST  # one alone may share a run by chance
    return Claim(
        label=label.name,
        clause=clause.text,
        kind="elsewhere" if is_elsewhere else "nowhere",
        records=len(texts.forms[label.name]),
        holds=0,
        other=other if is_elsewhere else "",
        other_holds=held[other] if is_elsewhere else 0,
    )


def _keywords(label: Label, judged: Sequence[Label], texts: ClassTexts) -> Iterator[Keyword]:
    own = len(texts.texts[label.name])
    for word in label.keywords:
        holds = texts.holding(label.name, word)
        shares = {
            other.name: texts.holding(other.name, word) / len(texts.texts[other.name])
            for other in judged
            if other is not label
        }
        other = max(shares, key=lambda name: shares[name], default="")
        finding = Keyword(label=label.name, keyword=word, kind="never", records=own, holds=holds)
        other_records = len(texts.texts[other]) if other else 0
        other_holds = round(shares[other] * other_records) if other else 0
        if other_holds >= AT_LEAST and shares[other] > holds / own:
            yield finding.model_copy(
                update={
                    "kind": "elsewhere",
                    "other": other,
                    "other_records": other_records,
                    "other_holds": other_holds,
                }
            )
        elif holds == 0:
            yield finding
        elif own >= RARE_FROM and holds / own < RARE:
            yield finding.model_copy(update={"kind": "rare"})


def _pairs(labels: LabelSet, texts: ClassTexts, mistakes: Mistakes | None) -> list[LabelPair]:
    pairs = []
    for first, second, wrong, alike, records in near_pairs(labels, texts, mistakes):
        if tells_apart(first, second) or tells_apart(second, first):
            continue
        pairs.append(
            LabelPair(
                first=first.name,
                second=second.name,
                mistakes=wrong,
                alike=alike,
                records=records,
                declared=second.name in first.confusable_with or first.name in second.confusable_with,
                sentences={
                    first.name: sentence(first.description, "", second),
                    second.name: sentence(second.description, "", first),
                },
            )
        )
    return sorted(pairs, key=lambda pair: (-pair.mistakes, -pair.alike))


def near_pairs(
    labels: LabelSet, texts: ClassTexts, mistakes: Mistakes | None
) -> Iterator[tuple[Label, Label, int, int, int]]:
    """Two labels that are mixed up or alike, how often, and the texts of both."""
    nearest = texts.nearest_class()
    for first, second in combinations(labels.labels, 2):
        wrong = mistakes.between(first.name, second.name) if mistakes else 0
        sizes = len(texts.texts[first.name]), len(texts.texts[second.name])
        alike = nearest[first.name][second.name] + nearest[second.name][first.name]
        alike, records = alike if min(sizes) >= FEW else 0, sum(sizes)
        if wrong >= AT_LEAST or (alike >= AT_LEAST and alike >= ALIKE * records):
            yield first, second, wrong, alike, records


def has_findings(result: LabelAudit) -> bool:
    """Whether there is anything to mend."""
    lacks = any(result.without[name] for name in ("description", "short", "keywords"))
    unfit = any(fit.fits * 2 < fit.records for fit in result.fits)
    return bool(result.claims or result.keywords or result.pairs or lacks or unfit)
