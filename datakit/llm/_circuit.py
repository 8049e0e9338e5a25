"""Whether an endpoint is down: then no call is sent but a probe now and then."""

from __future__ import annotations

from collections import deque

IN_A_ROW = 20
"""Failures without an answer between, after which an endpoint counts as down."""
_LAST, _SHARE = 100, 0.6
"""Or so large a share of the last calls."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
MOST_TOLD_S = 300.0
"""So long an endpoint is waited for that says itself how long (Retry-After), whatever the recipe says."""


class Circuit:
    """Closed (calls flow), open (none does), half open (one probe is under way).

    Failures are calls without any answer that makes sense: lost, timed out, 5xx. A refusal with reasons
    (4xx) shows that somebody is there.
    """

    def __init__(self, max_down_s: float) -> None:
        self._max_down_s = max_down_s
        self._last: deque[bool] = deque(maxlen=_LAST)
        self._in_a_row = 0
        self._down_since: float | None = None
        self._probe_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._probing = False
        self._patience_s = max_down_s
        self._is_given_up = False

    @property
    def is_open(self) -> bool:
        return self._down_since is not None

    def ready_at(self) -> float | None:
        """The moment from which a call may go; None while a probe is under way."""
        if self._down_since is None:
            return 0.0
        return None if self._probing else self._probe_at

    def sent(self) -> bool:
        """A call goes; whether it is the probe of an open circuit."""
        self._probing = self.is_open
        return self._probing

    def probed(self) -> None:
        """The probe is over, whether it reached the network or not."""
        self._probing = False

    def answered(self) -> None:
        """Somebody is there."""
        self._in_a_row = 0
        self._last.append(True)
        if self.is_open:
            self._down_since, self._pause_s = None, _FIRST_PAUSE_S
            self._patience_s = self._max_down_s
            self._last.clear()

    def failed(self, now: float, sent_at: float, wait_s: float | None = None) -> None:
        """A call came to nothing; `wait_s` is what the server asked to wait, where it did."""
        if self._down_since is not None:
            if sent_at >= self._down_since:
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
                self._plan_probe(now, wait_s)
            return
        self._in_a_row += 1
        self._last.append(False)
        share = self._last.count(False) / _LAST
        if self._in_a_row >= IN_A_ROW or (len(self._last) == _LAST and share >= _SHARE):
            self._down_since = now
            self._plan_probe(now, wait_s)

    def given_up(self, now: float) -> bool:
        """Whether the endpoint has been down for longer than is waited for."""
        return self._down_since is not None and self._is_given_up

    def _plan_probe(self, now: float, wait_s: float | None) -> None:
        """Sets the clock for the next probe; the last one comes when all that is waited for has passed."""
        assert self._down_since is not None
        told_s = now - self._down_since + (wait_s or 0.0)
        if wait_s and told_s <= MOST_TOLD_S:
            self._patience_s = max(self._patience_s, told_s)
        until = self._down_since + self._patience_s
        self._is_given_up = now >= until
        self._probe_at = min(now + max(self._pause_s, wait_s or 0.0), until)
