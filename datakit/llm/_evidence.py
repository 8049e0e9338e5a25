"""What the replies of an endpoint show together: one reply decides about its own record alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from datakit.llm._faults import Fault

FIRST_OPEN = 4
"""Calls in flight until an endpoint has answered once: few where it never does."""
CONFIRMED = 3
"""Refusals of a key, an account, a model or an address that are believed of an endpoint which never answered.
They come from several records where there are several: one that waits for its next try lets others go."""
TURNED = 20
"""The same in a row, for one that has answered before: a key that was revoked, an account that is empty."""
SAME = 20
"""First replies that refuse in the same words, after which all others will too."""
LIKE = 32
"""The same where only the kind of refusal is the same, as the words repeat what was sent."""

_OWN = re.compile(r"\S*\d\S*|`[^`]*`|'[^']*'|\"[^\"]*\"")
"""Words of a message that are about one request: counts, ids, quotes."""
_LATER = "later"
"""Counts what asks to come back after longer than a record is waited for."""
OF_RECORD = {
    "key": "key_refused",
    "account": "account_refused",
    "model": "model_refused",
    "address": "address_refused",
    "proxy": "proxy_refused",
}
"""What would stop the build -> the reason of a record that alone was refused so."""

_REMEDIES = (
    (
        "context_too_long",
        r"",
        "Serve the model with a longer context, or shorten the template or max_tokens.",
    ),
    (
        "request_too_large",
        r"",
        "Let the server or its proxy take larger requests, or lower llm.max_image_pixels.",
    ),
    (
        "images_off|image_refused",
        r"",
        "Take a model that sees pictures, or start the server so that it takes them "
        "(vLLM: --limit-mm-per-prompt).",
    ),
    (
        "content_filter",
        r"",
        "Look at the template, which goes with every request, or take another model or service.",
    ),
    ("", r"think", "Set llm.thinking: disabled (or enabled), as the message asks."),
    ("", r"stream", "Set llm.stream: true, or take another model."),
    ("", r"response_format|json_schema|json_object|guided", "Set llm.structured: none."),
    (
        "",
        r"",
        "What the request says besides can be changed with llm.extra_body, llm.structured and llm.thinking.",
    ),
)
"""Reason, words of the message -> what its owner can do."""


def remedy_of(fault: Fault) -> str:
    """The setting that mends a refusal of every request."""
    return next(
        remedy
        for reason, words, remedy in _REMEDIES
        if re.fullmatch(reason or ".*", fault.reason) and re.search(words, fault.detail, re.I)
    )


class Evidence:
    """The replies of one endpoint so far. Faults of passing trouble (lost, timed out, 5xx) show nothing."""

    def __init__(self) -> None:
        self.has_answered = False
        self._is_open = False
        self._in_a_row: Counter[str] = Counter()
        self._words: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self.answers = 0
        self.refused_in_a_row = 0
        """Records refused in words of no known meaning since the last answer."""

    @property
    def most_open(self) -> int | None:
        """Calls that may be in flight; None for as many as the settings allow."""
        return None if self._is_open else FIRST_OPEN

    def answered(self) -> None:
        """An answer came, whatever it is worth: requests are taken as they are sent."""
        self.has_answered = self._is_open = True
        self._in_a_row.clear()
        self.refused_in_a_row = 0
        self.answers += 1

    def heard(self, fault: Fault) -> None:
        """No answer came. What is left out and asked again is not heard of before that fails too."""
        if fault.fate == "again":
            self._is_open = True  # whoever is slow or busy does not refuse
            self._in_a_row[_LATER] += fault.is_far
        elif fault.fate == "stop":
            self._in_a_row[fault.reason] += 1
        elif fault.fate != "adapt":
            self._words[likeness(fault)] += 1
            self._kinds[f"{fault.reason} {fault.detail[:8]}"] += 1

    def ends(self, fault: Fault) -> Fault | None:
        """Why no call can succeed at the endpoint, as `fault` is the newest sign of it; else None."""
        if fault.reason == "certificate":
            return fault  # found out by this machine, not told by a server
        if fault.fate == "stop" or fault.is_far:
            enough = TURNED if self.has_answered else CONFIRMED
            kind = _LATER if fault.is_far else fault.reason
            return fault if self._in_a_row[kind] >= enough else None
        if self.has_answered or fault.fate == "again":
            return None
        same = self._words[likeness(fault)]
        like = self._kinds[f"{fault.reason} {fault.detail[:8]}"]
        return replace(fault, fate="stop") if same >= SAME or like >= LIKE else None


def likeness(fault: Fault) -> str:
    """A fault's words without those that are about one request."""
    return _OWN.sub("#", fault.detail)


def of_its_record(fault: Fault) -> Fault:
    """What would have stopped the build, as the trouble of one record: others were answered meanwhile."""
    return replace(fault, fate="retry", reason=OF_RECORD.get(fault.reason, fault.reason))
