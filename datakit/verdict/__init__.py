"""The verdict on a build: what is worse than its user may believe, the worst first, each with its records."""

from datakit.verdict.kinds import KINDS, command_of, records_of, verdict

__all__ = ["KINDS", "command_of", "records_of", "verdict"]
