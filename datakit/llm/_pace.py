"""How fast calls may go: limits by the minute, given or learnt, and how many may be open at once."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from datakit.llm._faults import LONGEST_WAIT_S

SHARE = 0.98
"""Of an allowed rate is used: clocks differ, and calls arrive in another rhythm than they left in."""
_BURST_S = 0.5
"""What was missed for so long may be caught up with. 0.8% of a minute, so a window by the minute holds."""
_WINDOW_S = 60.0
_FIRST_OPEN = 32
"""Calls open at once before the first answer; doubles with every round of answers."""
_CUT_AFTER_S = 0.05
_RECENT, _MANY_THROTTLED, _MANY_FAILED = 20, 6, 10
"""Of so many answers so many 429 or failures are a sign; fewer are accidents, and slow little down."""
_SELDOM_S = 5.0
_SLOWER, _LEAST_SHARE, _RECOVERY, _PAUSE_S = 0.97, 0.3, 0.001, 0.5
_NEARLY = 0.8
"""A 429 about tokens when less than this share of the limit was used in a minute is the sign of a server that
counts what calls may use at most."""
_DOUBT_S = 90.0
"""For so long that is counted then; twice as long when the sign comes again: others may share the limit."""
_LEARNT_FROM = 50
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|µs|ns|s|m|h|d)?")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Pace:
    """One limit by the minute, of calls or of tokens. Calls are spread evenly: that keeps token buckets and
    windows alike, whatever their size."""

    def __init__(self, per_minute: float | None) -> None:
        self.rate = per_minute * SHARE / 60 if per_minute else None
        """Units a second; None while no limit is known."""
        self.burst_s = _BURST_S
        self._due = 0.0
        self._sent: deque[list[float]] = deque()

    @property
    def per_minute(self) -> float:
        """Units a minute; 0 while no limit is known."""
        return (self.rate or 0.0) * 60

    def ready_at(self) -> float:
        """The moment from which the next call may go."""
        return self._due if self.rate else 0.0

    def take(self, now: float, units: float) -> None:
        """A call of so many units goes."""
        second = float(int(now))
        if not self._sent or self._sent[-1][0] != second:
            self._sent.append([second, 0.0])
            while self._sent[0][0] < second - _WINDOW_S:
                self._sent.popleft()
        self._sent[-1][1] += units
        if self.rate:
            seconds = units / self.rate
            self._due = max(self._due, now - self.burst_s) + seconds

    def give_back(self, units: float) -> None:
        """A call used so many units less than was taken (or more, when negative)."""
        if self.rate:
            self._due -= units / self.rate

    def scale(self, factor: float) -> None:
        """So many times as fast as now."""
        if self.rate:
            self.rate *= factor

    def pause(self, now: float, seconds: float) -> None:
        """Nothing goes for so long, and what is missed is not caught up with."""
        if self.rate:
            self._due = max(self._due, now) + seconds

    def set_rate(self, rate: float, now: float) -> None:
        """From now on so many units a second. What went before the limit was known counts against it."""
        if self.rate is None and self._sent:
            self._due = max(self._sent[0][0] + sum(units for _, units in self._sent) / rate, now - _BURST_S)
        self.rate = rate


class _Usage:
    """Which share of what calls may use at most they really use, so that limits of tokens are used up."""

    def __init__(self) -> None:
        self._share, self._answers = 1.0, 0
        self._taken: dict[float, deque[float]] = {}
        self._used: deque[tuple[float, float]] = deque()
        self._used_units = 0.0
        self.now = 0.0

    def used_within(self, now: float) -> float:
        """Tokens that were used in the last minute."""
        while self._used and self._used[0][0] < now - _WINDOW_S:
            self._used_units -= self._used.popleft()[1]
        return self._used_units

    def taken(self, most: float, *, all_of_it: bool) -> float:
        """What to count for a call that goes: what it is expected to use, once answers have shown that."""
        units = most if all_of_it else most * self._share
        self._taken.setdefault(most, deque()).append(units)
        return units

    def back(self, most: float, used: float | None) -> float:
        """What had been counted for a call that came back."""
        waiting = self._taken.get(most)
        units = waiting.popleft() if waiting else most
        if not waiting:
            self._taken.pop(most, None)
        if used and most:
            self._used.append((self.now, used))
            self._used_units += used
            self.used_within(self.now)  # forgets what is older
            self._answers += 1
            self._share += (used / most - self._share) / min(self._answers, _LEARNT_FROM)
        return units


@dataclass(frozen=True, slots=True)
class Headers:
    """What `x-ratelimit-*` headers say of one limit."""

    limit: float
    remaining: float | None
    reset_s: float | None
    """Until all of the limit is free again."""

    @classmethod
    def read(cls, headers: Mapping[str, str], what: str) -> Headers | None:
        """The limit of `requests` or `tokens`; None when the server names none."""
        limit = _number(headers.get(f"x-ratelimit-limit-{what}"))
        if not limit or limit <= 0:
            return None
        remaining = _number(headers.get(f"x-ratelimit-remaining-{what}"))
        return cls(limit, remaining, duration_s(headers.get(f"x-ratelimit-reset-{what}")))

    @property
    def per_minute(self) -> float | None:
        """The limit by the minute; None for a quota by the hour or day, which its reset tells."""
        if self.reset_s is not None and self.reset_s > _WINDOW_S + 2:
            return None
        return self.limit


def limits_of(headers: Mapping[str, str]) -> dict[str, Headers | None]:
    """What `x-ratelimit-*` headers say of the limits of `requests` and `tokens`."""
    return {what: Headers.read(headers, what) for what in ("requests", "tokens")}


class Limiter:
    """When the next call may go to one endpoint.

    Known limits (of the recipe, or of the server's headers) are kept by pace. Where none is known and the
    server answers 429, the rate at which it did accept calls is taken and slowly raised again (additive
    increase, multiplicative decrease). Overload (many 5xx, timeouts) lowers the number of open calls.
    """

    def __init__(
        self, most_open: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.most_open = most_open
        self.open = 0
        self.requests, self.tokens = Pace(requests_per_minute), Pace(tokens_per_minute)
        self.refunds = True
        """Whether a call counts by the tokens that it used; else by those that it might have used."""
        self._usage = _Usage()
        self._doubted_at, self._doubt_s = 0.0, _DOUBT_S
        self._given = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        self._learnt: dict[str, float] = {}
        self._window = float(min(most_open, _FIRST_OPEN))
        self._ceiling = float(most_open)
        self._not_before = 0.0
        self._cut_at = 0.0
        self._cuts = 0
        self._accepted = 0
        self._since = 0.0
        self._guessed = False
        self._grown_at = 0.0
        self._slowness = 1.0
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def ready_at(self) -> float | None:
        """The moment from which a call may go; None when one must come back first."""
        if self.open >= int(self._window):
            return None
        return max(self._not_before, self.requests.ready_at(), self.tokens.ready_at())

    @property
    def needs_tokens(self) -> bool:
        """Whether the tokens of a call matter."""
        return self.tokens.rate is not None

    def sent(self, now: float, tokens: float) -> None:
        """A call goes; `tokens` is what it may use at most."""
        self.open += 1
        self._usage.now = now
        if not self._since:
            self._since = now
        self.requests.take(now, 1.0)
        if not self.refunds and now - self._doubted_at > self._doubt_s:
            self.refunds, self._doubt_s = True, 2 * self._doubt_s
        self.tokens.take(now, self._usage.taken(tokens, all_of_it=not self.refunds))

    def back(self, reserved: float, used: float | None) -> None:
        """A call came back. `used` is None when it did not count at the server (refused, lost)."""
        self.open -= 1
        taken = self._usage.back(reserved, used)
        if used is None:
            self.tokens.give_back(taken)
        elif self.refunds and used > 0:  # a server that does not count says 0
            self.tokens.give_back(taken - used)

    def heard(self, limits: Mapping[str, Headers | None], now: float) -> None:
        """Learns limits from what an answer says of them."""
        for what, pace in (("requests", self.requests), ("tokens", self.tokens)):
            headers = limits.get(what)
            limit = headers.per_minute if headers else None
            if limit is None or self._learnt.get(what) == limit:
                continue
            self._learnt[what] = limit
            self._slowness = 1.0
            configured = self._given[what]
            pace.set_rate(min(limit, configured or limit) * SHARE / 60, now)
            if what == "requests":
                self._guessed = False

    def accepted(self, now: float) -> None:
        """A call was answered."""
        self._usage.now = now
        self._recent.append("answered")
        self._accepted += 1
        if self.open + 1 >= self._window * 0.8 and self._window < self.most_open:
            step = 1.0 if self._window < self._ceiling else 1.0 / self._window
            self._window = min(self._window + step, float(self.most_open))
        if self._guessed and self.requests.rate is not None:
            dt = min(now - self._grown_at, 1.0)
            calm_s = now - self._cut_at
            first = 0.05 if self._cuts == 1 else 0.004
            growth = min(first * 2 ** min(calm_s / 10, 10), 0.2)
            self.requests.scale(1 + growth * dt)
        if self._slowness < 1.0:
            self._recover(min(now - self._grown_at, 1.0))
        self._grown_at = now

    def throttled(self, now: float, sent_at: float, wait_s: float | None, about_tokens: bool) -> None:
        """A call was refused with 429; `about_tokens` when the server's words speak of tokens."""
        if wait_s is not None and wait_s <= LONGEST_WAIT_S:  # beyond it one record waits for the next run
            self._not_before = max(self._not_before, now + wait_s)
        if sent_at < self._cut_at + _CUT_AFTER_S:
            return  # an echo of what the last cut answers
        is_odd = self._usage.used_within(now) < _NEARLY * self.tokens.per_minute
        if about_tokens and self.needs_tokens and self.refunds and is_odd:
            self.refunds, self._doubted_at = False, now  # it seems to count what calls may use at most
            self._cut_at = now
            return
        self._recent.append("throttled")
        many = self._recent.count("throttled") >= _MANY_THROTTLED
        is_paced = self.requests.rate is not None or self.needs_tokens
        if not many and (not is_paced or now - self._cut_at < _SELDOM_S):
            return
        if self._guessed and not many:
            self.requests.scale(_SLOWER)
        elif is_paced and not self._guessed:
            self._slow(now)
        else:
            self._guess(now, _SLOWER if self._cuts else 0.5)
        self._cut_at, self._accepted, self._since = now, 0, now
        self._cuts += 1
        self._recent.clear()

    def overloaded(self, now: float, sent_at: float) -> None:
        """A call failed in a way that fewer calls at once may mend."""
        self._recent.append("failed")
        if sent_at < self._cut_at + _CUT_AFTER_S or self._recent.count("failed") < _MANY_FAILED:
            return
        self._cut_at = now
        self._recent.clear()
        self._window = self._ceiling = max(self._window * 0.7, 1.0)

    def _slow(self, now: float) -> None:
        """A known limit was run into, as when others share it: a pause, then slower for a while."""
        for pace in (self.requests, self.tokens):
            if self._slowness > _LEAST_SHARE:
                pace.scale(_SLOWER)
            pace.pause(now, _PAUSE_S)
        self._slowness = max(self._slowness * _SLOWER, _LEAST_SHARE)

    def _recover(self, seconds: float) -> None:
        before, self._slowness = self._slowness, min(self._slowness + _RECOVERY * seconds, 1.0)
        for pace in (self.requests, self.tokens):
            pace.scale(self._slowness / before)

    def _guess(self, now: float, share: float) -> None:
        """Takes the rate at which calls were accepted since the last cut for the allowed one."""
        seconds = now - self._since
        rate = self._accepted / seconds if self._accepted >= 5 and seconds > 0.2 else None
        if rate is None:
            rate = (self.requests.rate or self.most_open) * 0.7
        self.requests.set_rate(max(rate * share, 0.1), now)
        self._guessed, self._grown_at = True, now


def duration_s(value: str | None) -> float | None:
    """Seconds of `6m0s`, `12ms`, `1.5` or a number of seconds; None when it is something else."""
    if not value:
        return None
    parts = _DURATION.findall(value.strip())
    if not parts or "".join(a + b for a, b in parts) != value.replace(" ", ""):
        return None
    return sum(float(number) * _UNIT_S[unit or "s"] for number, unit in parts)


def _number(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None
