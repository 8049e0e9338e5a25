"""A signal during the imports of the command ends it without a traceback: imported before all else."""

from __future__ import annotations

import os
import signal
import sys

# Not for who imports from the package.
if sys.argv[:1] == ["-m"] or sys.argv[0].rpartition("/")[2] == "datakit":
    for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, lambda number, _: os._exit(128 + number))
