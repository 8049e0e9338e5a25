"""Several answers to one question: tried again while words are wrong, judged by a referee, one chosen.

A record's raw result holds every try of every sample, so that the choice can be made anew for nothing:
`{"samples": [[try, ...], ...], "by": writer}`. A try is an answer as the author gives it, or
`{"rejected": [reason, detail]}`; a judged one has its raw `verdict` too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from datakit.core.labels import normal_form
from datakit.core.language import Language
from datakit.core.likeness import centrality
from datakit.core.outcome import REFUSAL, Done, Outcome, Rejected, Retry
from datakit.core.sub_results import SubResults
from datakit.llm import json_answer
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.author import text_of
from datakit.llm.second_tries import SecondTries

VERDICT = AnswerSchema.of({"why": "note", "ok": "boolean"})
REFUSED = "referee_refused"
_WORDS = {"banned_word": "it says {}", "missing_word": "it does not say {}", REFUSED: "the referee: {}"}

Fault = tuple[str, str]
"""banned_word, missing_word or referee_refused, and the word or the referee's why."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rules:
    """What an answer must keep to."""

    banned: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    has_referee: bool = False

    def word_faults(self, text: str) -> list[Fault]:
        """Banned words that are there and required ones that are not; width, case and white space apart."""
        form = normal_form(text)
        faults: list[Fault] = [("banned_word", word) for word in self.banned if normal_form(word) in form]
        return faults + [("missing_word", word) for word in self.required if normal_form(word) not in form]


@dataclass(frozen=True)
class Try:
    """One answer to one sample's question, as it is read today."""

    sample: int
    number: int
    text: str
    faults: tuple[Fault, ...]
    judged: bool


def tries_of(raw: Any, field_name: str, rules: Rules) -> list[list[Try | Rejected]]:
    """Every try of every sample, with its faults."""
    return [
        [_read(entry, sample, number, field_name, rules) for number, entry in enumerate(tries)]
        for sample, tries in enumerate(raw["samples"])
    ]


def _read(raw: Any, sample: int, number: int, field_name: str, rules: Rules) -> Try | Rejected:
    if "rejected" in raw:
        return Rejected(*raw["rejected"])
    text = text_of(raw, field_name)
    if isinstance(text, Rejected):
        return text
    faults = rules.word_faults(text)
    verdict = raw.get("verdict")
    if verdict is not None and not (judgement := _verdict(verdict))["ok"]:
        faults.append((REFUSED, judgement["why"]))
    return Try(sample, number, text, tuple(faults), verdict is not None)


def _verdict(raw: Any) -> dict[str, Any]:
    if "rejected" in raw:
        return {"ok": False, "why": raw["rejected"][0]}
    return json_answer.read(raw["raw"], VERDICT) or {"ok": False, "why": "its verdict cannot be read"}


def by_rank(tries: Iterable[Try]) -> list[Try]:
    """Fewest faults first, then the most central by character 3-grams, then in order of the samples."""
    all_tries = list(tries)
    middle = dict(zip(map(id, all_tries), centrality([attempt.text for attempt in all_tries]), strict=True))
    return sorted(
        all_tries,
        key=lambda attempt: (len(attempt.faults), -middle[id(attempt)], attempt.sample, attempt.number),
    )


def choose(raw: Any, field_name: str, rules: Rules, *, keep: bool) -> Try | Rejected:
    """The answer that stands; without one that keeps to the rules the best of all (`keep`) or a reject."""
    tries = tries_of(raw, field_name, rules)
    read = [attempt for sample in tries for attempt in sample if isinstance(attempt, Try)]
    clean = [attempt for attempt in read if not attempt.faults and (attempt.judged or not rules.has_referee)]
    if clean:
        return by_rank(clean)[0]
    if not read:
        return next(attempt for sample in tries for attempt in sample if isinstance(attempt, Rejected))
    best = by_rank(read)[0]
    if keep or not best.faults:
        return best
    reason, word = best.faults[0]
    count = len(read)
    detail = f"{_WORDS[reason].format(word)} (the best of {count} answers: {best.text[:80]})"
    return Rejected(reason, detail)


Write = Callable[[int, int, str], Coroutine[Any, Any, tuple[bytes, Outcome]]]
"""(sample, try, what later tries are told) -> the key of the answer and the answer."""
Judge = Callable[[str], Coroutine[Any, Any, tuple[bytes, Outcome]]]


@dataclass
class Sampling:
    """The answers to one record's question, each stored on its own as it comes."""

    rules: Rules
    field_name: str
    samples: int
    max_tries: int
    write: Write
    judge: Judge | None
    language: Language = "zh"
    """Of the template: what later tries are told is written in it."""
    second: SecondTries | None = None
    """Whether it is worth asking again after faults; None: always."""
    raw: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Done | Rejected] = field(default_factory=dict)
    """Every answer and verdict that the result rests on, by its key in hex."""

    async def run(self) -> Outcome:
        """All tries with the sum of what they cost; a Retry as soon as one answer does not come."""
        self.raw = {"samples": [[] for _ in range(self.samples)], "by": ""}
        for number in range(self.max_tries):
            tries = tries_of(self.raw, self.field_name, self.rules)
            open_samples = [at for at, sample in enumerate(tries) if not sample or _again(sample[-1])]
            if not open_samples or (self.judge is not None and self._accepted(tries)):
                break
            faults = [
                attempt.faults[0][0]
                for at in open_samples
                for attempt in tries[at][-1:]
                if isinstance(attempt, Try)
            ]
            if number and self.second is not None:
                if not await self.second.worth(faults[0]):
                    break
                with self.second.under_way(faults[0]) as this:
                    stopped = await self._written(open_samples, tries, number)
                    if stopped is None:
                        now = tries_of(self.raw, self.field_name, self.rules)
                        left = [
                            attempt.faults
                            for at in open_samples
                            for attempt in now[at][-1:]
                            if isinstance(attempt, Try)
                        ]
                        this.failed_for = faults[0] if left and all(left) else ""
            else:
                stopped = await self._written(open_samples, tries, number)
            if stopped is not None:
                return stopped
        by = [entry["by"] for tries in self.raw["samples"] for entry in tries if "by" in entry]
        self.raw["by"] = by[0] if by else ""
        return Done(self.raw, summed(self.parts))

    async def _written(
        self, wanted: list[int], tries: list[list[Try | Rejected]], number: int
    ) -> Retry | None:
        """Has the samples in `wanted` written and judged; a Retry when one answer does not come."""
        hints = [
            hint((attempt for attempt in tries[at] if isinstance(attempt, Try)), self.language)
            for at in wanted
        ]
        written = await together(
            self.write(at, number, words) for at, words in zip(wanted, hints, strict=True)
        )
        failed = [outcome for _, outcome in written if isinstance(outcome, Retry)]
        if failed:
            return replace(failed[0], meta=_spent(failed))
        for at, (key, outcome) in zip(wanted, written, strict=True):
            assert not isinstance(outcome, Retry)  # seen to above
            self.raw["samples"][at].append(self._kept(key, outcome))
        return await self._gate()

    def _kept(self, key: bytes, outcome: Done | Rejected) -> dict[str, Any]:
        self.parts[key.hex()] = outcome
        if isinstance(outcome, Rejected):
            return {"rejected": [outcome.reason, outcome.detail]}
        return dict(outcome.raw)

    @staticmethod
    def _accepted(tries: list[list[Try | Rejected]]) -> bool:
        read = (attempt for sample in tries for attempt in sample if isinstance(attempt, Try))
        return any(attempt.judged and not attempt.faults for attempt in read)

    async def _gate(self) -> Retry | None:
        """Has answers judged, the best first, until one is accepted."""
        if self.judge is None:
            return None
        while True:
            tries = tries_of(self.raw, self.field_name, self.rules)
            read = [attempt for sample in tries for attempt in sample if isinstance(attempt, Try)]
            open_ = [attempt for attempt in by_rank(read) if not attempt.faults and not attempt.judged]
            if self._accepted(tries) or not open_:
                return None
            key, outcome = await self.judge(open_[0].text)
            if isinstance(outcome, Retry):
                return outcome
            self.raw["samples"][open_[0].sample][open_[0].number]["verdict"] = self._kept(key, outcome)


def _again(last: Try | Rejected) -> bool:
    return isinstance(last, Try) and bool(last.faults)


@dataclass(frozen=True)
class _HintWords:
    """How a hint says what was wrong."""

    head: str
    banned: str
    missing: str
    refused: str
    refused_why: str
    between: str


_HINTS: dict[Language, _HintWords] = {
    "zh": _HintWords(
        "注意：",
        "不要出现这些词：{}。",
        "必须写到这些词：{}。",
        "上一次的回答没有通过审核。",
        "上一次的回答没有通过审核：{}。",
        "、",
    ),
    "en": _HintWords(
        "Note:",
        "Do not use these words: {}.",
        "Do mention: {}.",
        "The last answer did not pass the review.",
        "The last answer did not pass the review: {}.",
        ", ",
    ),
}


def hint(tries: Iterable[Try], language: Language) -> str:
    """What the model is told after answers with faults; "" before the first."""
    faults = [fault for attempt in tries for fault in attempt.faults]
    say = _HINTS[language]

    def words(reason: str) -> str:
        quoted = dict.fromkeys(f"“{word}”" for kind, word in faults if kind == reason and word)
        return say.between.join(quoted)

    lines = []
    if banned := words("banned_word"):
        lines.append(say.banned.format(banned))
    if missing := words("missing_word"):
        lines.append(say.missing.format(missing))
    if any(kind == REFUSED for kind, _ in faults):
        why = words(REFUSED)
        lines.append(say.refused_why.format(why) if why else say.refused)
    return "\n".join([say.head, *lines]) if lines else ""


async def paid_once(
    parts: SubResults, key: bytes, ask: Callable[[], Coroutine[Any, Any, Outcome]]
) -> tuple[bytes, Outcome]:
    """The part under a key: as it is stored, else asked for and stored."""
    stored = parts.get(key)
    if stored is not None:
        return key, stored
    outcome = await ask()
    if not isinstance(outcome, Retry):
        parts.put(key, outcome)
    return key, outcome


async def together(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of calls that are under way at the same time.

    When one raises, the others are waited for all the same: they are being paid for.
    """
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def summed(parts: dict[str, Done | Rejected]) -> dict[str, Any]:
    """The meta of a result that is made of parts: their keys, and what all of them took."""
    refused = {REFUSAL: True} if parts and all(REFUSAL in part.meta for part in parts.values()) else {}
    return {**_spent(parts.values()), "parts": list(parts), **refused}


def _spent(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    metas = [outcome.meta for outcome in outcomes]
    totals: dict[str, Any] = {"model": metas[0].get("model") if metas else None}
    costs = [meta["cost_usd"] for meta in metas if "cost_usd" in meta]
    if costs:
        names = ("tokens_in", "tokens_out", "tokens_cached", "requests")
        totals |= {name: sum(int(meta.get(name) or 0) for meta in metas) for name in names}
        totals["cost_usd"] = None if None in costs else sum(costs)
        totals["seconds"] = round(sum(float(meta.get("seconds") or 0) for meta in metas), 3)
    return totals
