"""What the predict stage says when it has asked."""

from __future__ import annotations

from datakit.handoff.road import Ended
from datakit.serving.predict import Account


def ended(account: Account) -> Ended:
    """The stage as it ended, with its figures and what must be known of its answers from then on."""
    lines = [account.text, f"Written: {account.out}"]
    if account.kept is not None:
        lines.append(f"Kept: predictions with other answers, which stood there: {account.kept}")
    if account.doubt:
        lines.append("All of them anew: --again predict.")
    if account.retry:
        lines.append("The same command asks again for those that had no answer.")
    figures = {
        "records": account.records,
        "answered": account.answered,
        "problems": dict(account.problems),
        "retry": account.retry,
        "resumed": account.resumed,
        "weights_known": account.weights_known,
        "out": str(account.out),
    }
    note = f"{account.doubt} All anew: --again predict." if account.doubt else ""
    return Ended("\n".join(lines), exit=int(account.exit_code), figures=figures, note=note)
