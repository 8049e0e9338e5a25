"""A server on which a fifth of all calls goes wrong in every way there is, and what must hold all the same.

Used by tests/run/test_bad_world.py, and with more records by scripts/bench_llm.py.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from tests.support.loopback import Call, Reply

SHARE = 0.2
SLOW_S = 3.0
"""Longer than the client's patience (llm.timeout_s) in these tests."""
TIMEOUT_S = 1.5
FATES: dict[str, Reply] = {
    "told to wait": Reply(429, headers={"Retry-After": "0.2"}),
    "too many": Reply(429),
    "500": Reply(500),
    "502": Reply(502, raw=b"<html>Bad Gateway</html>"),
    "503": Reply(503, "overloaded"),
    "slow": Reply(delay_s=SLOW_S),
    "reset": Reply(reset=True),
    "cut": Reply(cut=True),
    "no completion": Reply(raw=b'{"choices": []}'),
    "malformed": Reply(content='{"reason": "没有写完'),
    "other form": Reply(content='{"a": 1, "b": 2}'),
    "refusal": Reply(refusal="不便回答"),
    "filter": Reply(content="", finish_reason="content_filter"),
    "empty": Reply(content=""),
    "length": Reply(content='{"reason": "太长', finish_reason="length"),
    "context": Reply(400, "This model's maximum context length is 8192 tokens"),
    "image": Reply(400, "Invalid image: cannot decode"),
}


def script(call: Call) -> Reply | None:
    """The fate of a call: drawn by its id and attempt, so that every run sees the same."""
    draw = random.Random(f"{call.id}/{call.attempt}/{len(call.body['messages'])}")
    if draw.random() >= SHARE:
        return None
    reply = FATES[draw.choice(list(FATES))]
    return Reply(**{**vars(reply), "headers": dict(reply.headers)})


STORED_REJECTS = {"refused", "content_filter", "image_refused"}


def faults(records: int, seen: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """What does not hold, in words. `report`: rows (id, answer), rejects (as written), attempts."""
    rows, rejects, attempts = report["rows"], report["rejects"], report["attempts"]
    found: list[str] = []
    ends = Counter([id_ for id_, _ in rows] + [line["id"] for line in rejects])
    if len(ends) != records or set(ends.values()) != {1}:
        found.append(f"{records} records have {ends.total()} ends")
    strangers = [id_ for id_, answer in rows if f"回答记录{id_}的" not in answer]
    if strangers:
        found.append(f"answers of others at {strangers[:3]}")
    rejected = {line["reason"] for line in rejects if line["state"] == "rejected"}
    if not rejected <= STORED_REJECTS:
        found.append(f"rejected for {sorted(rejected - STORED_REJECTS)}")
    # On a busy machine a call may time out before its request is read: it is tried again, and was never seen.
    unseen = sum(attempts.values()) - seen["count"]
    if not 0 <= unseen <= attempts.get("timed_out", 0):
        found.append(f"{seen['count']} requests arrived, the report explains {sum(attempts.values())}")
    refused, told = seen["replies"].get("429", 0), attempts.get("rate_limited", 0)
    if not refused * 0.9 <= told <= refused:
        found.append(f"{refused} answers were 429, not {told}")
    broken = seen["replies"].get("reset", 0) + seen["replies"].get("cut", 0)
    lost = attempts.get("connection_lost", 0)
    if not broken * 0.9 <= lost <= broken:
        found.append(f"{broken} connections broke, not {lost}")
    return found
