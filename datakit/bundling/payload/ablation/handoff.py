"""Takes the trainings of this archive to their comparison; run.sh starts it. See START_HERE.md."""

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))
sys.dont_write_bytecode = True  # one that a full disk cut off would keep every later call from starting

from datakit.ablation.packed_command import main  # noqa: E402 (it lies beside this file)

if __name__ == "__main__":
    main(here, sys.argv[1:])
