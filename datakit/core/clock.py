"""Times as records of a run hold them, and as a person reads them."""

from __future__ import annotations

import calendar
import os
import time
from datetime import datetime, timezone

from datakit.core.errors import UserError

_FIXED = "SOURCE_DATE_EPOCH"


def utc_now() -> str:
    """The time as it stands in records, such as 2026-11-26T17:02:11Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def now() -> datetime:
    """The time that data are judged by: SOURCE_DATE_EPOCH (reproducible-builds.org), else the clock's.

    Raises UserError where the variable holds no time.
    """
    fixed, utc = os.environ.get(_FIXED), timezone.utc  # noqa: UP017 (a bundle runs on Python 3.10)
    if not fixed:
        return datetime.now(utc)
    try:
        return datetime.fromtimestamp(int(fixed), utc)
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"{_FIXED} is {fixed!r}, which is no time", remedy="Give whole seconds since 1970, or unset it."
        ) from None


def seconds_of(utc: str) -> float:
    """A time of a record in seconds since the epoch; 0 for what is none."""
    try:
        return float(calendar.timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def local(utc: str) -> str:
    """A time of a record as the clock on the wall shows it, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds_of(utc)))


def duration(seconds: float) -> str:
    """Seconds as a clock shows them, such as 1:02:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def rough_duration(seconds: float) -> str:
    """Seconds, minutes or hours, as a person would say them of a forecast."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
