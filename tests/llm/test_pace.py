"""Limits are kept: simulated minutes against the limits of a server, without waiting for them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import pytest

from datakit.llm._pace import Limiter, Pace, duration_s, limits_of
from tests.support.loopback import Limit, Limits, Reply

LATENCY_S, USED, WORST = 0.2, 120.0, 612.0
MINUTES = 10


@dataclass
class Seen:
    """What a server saw of a client that always has work."""

    answered: int = 0
    refused: int = 0
    most_open: int = 0

    @property
    def share_refused(self) -> float:
        return self.refused / (self.answered + self.refused)


def simulate(
    limiter: Limiter, limits: Limits, minutes: float = MINUTES, *, latency_s: float = LATENCY_S, odd: int = -1
) -> Seen:
    """Sends as the limiter allows; calls reach the server after half of their time. The call of the number
    `odd` is refused for tokens, whatever the limits."""
    seen, now, back = Seen(), 1000.0, list[tuple[float, int, float, Any]]()
    end, number = now + 60 * minutes, 0
    while now < end:
        at = limiter.ready_at()
        if at is not None and (not back or max(at, now) <= back[0][0]):
            now = max(at, now)
            limiter.sent(now, WORST)
            reply = limits.admit(now + latency_s / 2, WORST if limits.worst else USED)
            if number == odd:
                reply = Reply(429, "too many tokens", headers={"Retry-After": "1"})
            headers = limits.headers(now + latency_s / 2)
            heapq.heappush(back, (now + latency_s, number, now, (reply, headers)))
            number += 1
            seen.most_open = max(seen.most_open, len(back))
            continue
        now, _, sent_at, (reply, headers) = heapq.heappop(back)
        limiter.heard(limits_of(headers), now)
        if reply is None:
            seen.answered += 1
            limiter.accepted(now)
        else:
            seen.refused += 1
            wait = reply.headers.get("Retry-After")
            about_tokens = "tokens" in (reply.content or "")
            limiter.throttled(now, sent_at, float(wait) if wait else None, about_tokens)
        limiter.back(WORST, USED if reply is None else None)
    return seen


@pytest.mark.parametrize("told", [True, False], ids=["headers", "recipe"])
@pytest.mark.parametrize("kind", ["bucket", "window"])
@pytest.mark.parametrize("per_minute", [60, 3000, 12_000])
def test_95_percent_of_the_requests_allowed_are_used_and_at_most_1_percent_refused(
    kind: Any, told: bool, per_minute: float
) -> None:
    limiter = Limiter(64, None if told else per_minute)
    seen = simulate(limiter, Limits(requests=Limit(per_minute, kind), tells=told))
    assert seen.answered >= 0.95 * per_minute * MINUTES
    assert seen.share_refused <= 0.01


@pytest.mark.parametrize("worst", [True, False], ids=["max_tokens count", "used tokens count"])
@pytest.mark.parametrize("told", [True, False], ids=["headers", "recipe"])
@pytest.mark.parametrize("kind", ["bucket", "window"])
def test_95_percent_of_the_tokens_allowed_are_used_and_at_most_1_percent_refused(
    kind: Any, told: bool, worst: bool
) -> None:
    limiter = Limiter(64, None, None if told else 360_000)
    seen = simulate(limiter, Limits(tokens=Limit(360_000, kind), tells=told, worst=worst))
    assert seen.answered * (WORST if worst else USED) >= 0.95 * 360_000 * MINUTES
    assert seen.share_refused <= 0.01


@pytest.mark.parametrize("retry_after", [True, False])
def test_limit_that_nobody_tells_is_found_and_nearly_reached(retry_after: bool) -> None:
    seen = simulate(Limiter(64), Limits(requests=Limit(3000), tells=False, retry_after=retry_after))
    assert seen.answered >= 0.9 * 3000 * MINUTES
    assert seen.share_refused <= 0.02


def test_limit_of_the_recipe_holds_where_headers_allow_more() -> None:
    seen = simulate(Limiter(64, 600), Limits(requests=Limit(6000)), minutes=3)
    assert seen.answered <= 610 * 3
    assert seen.refused == 0


def test_quota_by_the_day_is_no_pace() -> None:
    limiter = Limiter(64)
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2m59.56s",
    }
    limiter.heard(limits_of(headers), 1.0)
    assert limiter.requests.rate is None


def test_open_calls_start_few_and_double_to_the_most() -> None:
    limiter = Limiter(64)
    for _ in range(32):
        assert limiter.ready_at() == 0.0
        limiter.sent(1.0, 0)
    assert limiter.ready_at() is None
    assert simulate(Limiter(64), Limits(), minutes=0.1).most_open == 64


def test_overload_lowers_the_open_calls_once_for_calls_that_failed_together() -> None:
    limiter = Limiter(64)
    simulate(limiter, Limits(), minutes=0.1)
    while limiter.open:
        limiter.back(0, None)
    for _ in range(64):
        limiter.overloaded(2000.0, sent_at=1999.0)
    while limiter.ready_at() is not None:
        limiter.sent(2000.0, 0)
    assert limiter.open == 44


def test_calls_of_before_the_limit_was_known_count_against_it() -> None:
    pace = Pace(None)
    for _ in range(100):
        pace.take(0.0, 1)
    pace.set_rate(10.0, 1.0)
    assert pace.ready_at() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360), ("12ms", 0.012), ("1.5", 1.5), ("1h2m3s", 3723), ("", None), ("soon", None)],
)
def test_durations_of_headers_are_read(text: str, seconds: float | None) -> None:
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("latency_s", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("kind", ["bucket", "window"])
@pytest.mark.parametrize("per_minute", [60_000, 200_000])
def test_whole_limit_of_tokens_is_used_however_slow_the_answers_are(
    kind: Any, per_minute: float, latency_s: float
) -> None:
    limits = Limits(tokens=Limit(per_minute, kind), tells=False)
    seen = simulate(Limiter(256, None, per_minute), limits, latency_s=latency_s)
    assert seen.answered * USED >= 0.93 * per_minute * MINUTES
    assert seen.share_refused <= 0.01


def test_one_refusal_for_tokens_does_not_take_the_refunds_away_for_good() -> None:
    limits = Limits(tokens=Limit(360_000), tells=False)
    seen = simulate(Limiter(64, None, 360_000), limits, odd=20)
    assert seen.answered * USED >= 0.85 * 360_000 * MINUTES  # 20% with all that calls may use


def test_server_that_counts_no_tokens_is_no_server_without_a_limit() -> None:
    limiter = Limiter(64, None, 60_000)
    for _ in range(20):
        limiter.sent(100.0, 1000.0)
        limiter.back(1000.0, 0.0)
    assert limiter.ready_at() == pytest.approx(100 + 20 * 1000 / (60_000 * 0.98 / 60), abs=1.0)
