"""Who doubts the labels of records: each voice reads its own columns and is silent where they are absent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from datakit.core.keywords import holds
from datakit.core.labels import LabelSet
from datakit.core.language import Language
from datakit.core.near_texts import MIN_GRAMS, near_text_groups
from datakit.core.record import BETTER, DECLINED, repeat_of
from datakit.core.suspicion import Doubt, Guess, ranked, told, weight_of_rank

PROXY, KFOLD, REASON, DUPLICATES, DESCRIPTION = "proxy", "kfold", "reason", "duplicates", "description"
VOICES = (PROXY, KFOLD, REASON, DUPLICATES, DESCRIPTION)
NOISE = ("noise_rank", "noise_probability", "noise_label", "noise_label_probability", "noise_cluster")
"""Columns of curate.label_noise."""
REFUSED = 0.5
"""Weight of a reason that was declined: a model that was shown the label and would rather not is as often
right as wrong, for all that is known without a person."""
CONTRADICTED = 0.3
"""Weight of keywords that speak for another label alone: screens quote each other's words."""
SEVERAL = 2
"""Keywords of another label that count."""
_SHOWN = 60
"""Characters of a model's words that are repeated."""

Doubts = dict[str, list[Doubt]]
"""Id -> what is said against its label."""

WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        PROXY: "代理模型：更像{other}{sure}，给{label}的概率 {given}，可疑程度第 {rank} 位",
        "cluster": "；属于一簇相同的疑点 {cluster}",
        REASON: "写理由的模型：不支持{label}",
        "better": "，认为是{other}",
        "says": "：{says}",
        DUPLICATES: "重复图片：同样的图中 {count} 条标为{other}（{id}），{own} 条标为{label}",
        "texts": "相近文本：几乎相同的文本中 {count} 条标为{other}（{id}），{own} 条标为{label}",
        DESCRIPTION: "类别说明：图中没有{label}的关键词，却有{other}的 {count} 个（{words}）",
    },
    "en": {
        PROXY: "proxy: looks like {other}{sure}, gives {label} {given}, number {rank} of its list",
        "cluster": "; one of the cluster {cluster}",
        REASON: "writer of the reason: declines {label}",
        "better": ", would give {other}",
        "says": ": {says}",
        DUPLICATES: "duplicates: {count} of the same picture have {other} ({id}), {own} have {label}",
        "texts": "duplicates: {count} of nearly the same text have {other} ({id}), {own} have {label}",
        DESCRIPTION: "description: no keyword of {label} in the picture, but {count} of {other} ({words})",
    },
}


@dataclass
class Hearing:
    """What all voices say of the labelled records."""

    language: Language
    doubts: Doubts = field(default_factory=lambda: defaultdict(list))
    heard: dict[str, int] = field(default_factory=dict)
    """Voice -> records that it looked at."""
    clusters: dict[str, str] = field(default_factory=dict)
    """Id -> the finding that the proxy has it in."""

    @property
    def words(self) -> Mapping[str, str]:
        return WORDS[self.language]

    def add(self, id_: str, doubt: Doubt) -> None:
        self.doubts[id_].append(doubt)


def hear_proxy(table: pl.DataFrame, hearing: Hearing) -> None:
    """The proxy of curate.label_noise doubts what it would label otherwise, and what it has in a cluster."""
    if not set(NOISE[:3]) <= set(table.columns):
        return
    rows = table.filter(pl.col("noise_rank").is_not_null())
    hearing.heard[PROXY] = rows.height
    for row in rows.iter_rows(named=True):
        other, cluster = row["noise_label"], row.get("noise_cluster")
        if cluster is not None:
            hearing.clusters[row["id"]] = cluster
        if (other is None or other == row["label"]) and cluster is None:
            continue
        is_other = other is not None and other != row["label"]
        says = hearing.words[PROXY].format(
            other=other or row["label"],
            sure=_sure(row.get("noise_label_probability")),
            label=row["label"],
            given=_figure(row["noise_probability"]),
            rank=row["noise_rank"],
        )
        if cluster is not None:
            says += hearing.words["cluster"].format(cluster=cluster)
        weight = weight_of_rank(row["noise_rank"], rows.height)
        hearing.add(row["id"], Doubt(PROXY, says, weight, other if is_other else None))


def hear_kfold(guesses: Sequence[Guess], hearing: Hearing) -> None:
    """The models of `datakit kfold` doubt what they predict otherwise."""
    hearing.heard[KFOLD] = len(guesses)
    for one, weight in ranked(guesses):
        if one.predicted != one.label:
            hearing.add(one.id, Doubt(KFOLD, told(one, hearing.language), weight, one.predicted))


def hear_reason(rows: pl.DataFrame, column: str, hearing: Hearing) -> None:
    """The writer of the reason declined. Of a record's repeats each was asked on its own."""
    declined, better = f"{column}{DECLINED}", f"{column}{BETTER}"
    if declined not in rows.columns:
        return
    by_record: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        by_record[repeat_of(row["id"])[0]].append(row)
    hearing.heard[REASON] = len(by_record)
    for id_, asked in by_record.items():
        refusals = [row for row in asked if row[declined] is not None]
        if not refusals:
            continue
        proposals = Counter(row.get(better) for row in refusals if row.get(better) is not None)
        other = min(proposals, key=lambda name: (-proposals[name], name), default=None)
        says = hearing.words[REASON].format(label=refusals[0]["label"])
        if other is not None:
            says += hearing.words["better"].format(other=other)
        says += hearing.words["says"].format(says=_short(refusals[0][declined]))
        hearing.add(id_, Doubt(REASON, says, REFUSED * len(refusals) / len(asked), other))


def hear_duplicates(table: pl.DataFrame, hearing: Hearing) -> None:
    """Records with the same question about the same picture, and other labels. Who is alone is doubted more:
    the weight is the share of the group with another label."""
    if "duplicate_of" not in table.columns:
        return
    grouped = table.drop_nulls("duplicate_of").with_columns(group="duplicate_of")
    _hear_groups(grouped, hearing, DUPLICATES)


def hear_texts(table: pl.DataFrame, texts: Sequence[str | None], same_text: float, hearing: Hearing) -> None:
    """The same of records without pictures that read nearly the same: `texts` has null for all others. Short
    ones are compared as a whole."""
    numbers = near_text_groups(texts, same_text, MIN_GRAMS)
    plain = ["".join(text.split()) if text else "" for text in texts]
    first: dict[str, int] = {}
    numbers = np.array(
        [
            number if len(text) >= MIN_GRAMS else first.setdefault(text, number)
            for text, number in zip(plain, numbers.tolist(), strict=True)
        ],
        dtype=np.int64,
    )
    grouped = table.with_columns(group=pl.Series(numbers)).filter(
        pl.Series([bool(text) for text in plain], dtype=pl.Boolean)
    )
    if grouped.height:
        _hear_groups(grouped, hearing, "texts")


def _hear_groups(grouped: pl.DataFrame, hearing: Hearing, words: str) -> None:
    hearing.heard[DUPLICATES] = hearing.heard.get(DUPLICATES, 0) + grouped.height
    torn = grouped.filter(pl.col("label").n_unique().over("group") > 1).sort("id")
    for group in torn.partition_by("group", maintain_order=True):
        counts = Counter(group["label"].to_list())
        firsts = dict(reversed(list(group.select("label", "id").iter_rows())))
        for id_, label in group.select("id", "label").iter_rows():
            others = {name: count for name, count in counts.items() if name != label}
            other = min(others, key=lambda name: (-others[name], name))
            says = hearing.words[words].format(
                count=others[other], other=other, id=firsts[other], own=counts[label], label=label
            )
            weight = sum(others.values()) / group.height
            hearing.add(id_, Doubt(DUPLICATES, says, weight, other))


def hear_description(table: pl.DataFrame, column: str, labels: LabelSet | None, hearing: Hearing) -> None:
    """The label file: no keyword of the label stands in the picture's text, and several of another do."""
    with_keywords = [label for label in labels.labels if label.keywords] if labels is not None else []
    if column not in table.columns or len(with_keywords) < 2:
        return
    own = {label.name: label for label in with_keywords}
    rows = table.filter(pl.col("label").is_in(list(own))).drop_nulls(column)
    hearing.heard[DESCRIPTION] = rows.height
    for id_, name, text in rows.select("id", "label", column).iter_rows():
        if any(holds(text, keyword) for keyword in own[name].keywords):
            continue
        standing = {
            other.name: [word for word in other.keywords if holds(text, word)]
            for other in with_keywords
            if other.name != name
        }
        most = max(map(len, standing.values()))
        best = [other for other, words in standing.items() if len(words) == most]
        if most < SEVERAL or len(best) > 1:
            continue  # of two that are equal neither is told
        says = hearing.words[DESCRIPTION].format(
            label=name, count=most, other=best[0], words=_listed(standing[best[0]])
        )
        hearing.add(id_, Doubt(DESCRIPTION, says, CONTRADICTED, best[0]))


def _sure(probability: float | None) -> str:
    return "" if probability is None else f" ({probability:.2f})"


def _figure(probability: float | None) -> str:
    return "?" if probability is None else f"{probability:.2f}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _listed(words: Iterable[str]) -> str:
    return "、".join(list(words)[:3])
