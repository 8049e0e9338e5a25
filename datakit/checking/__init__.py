"""What LLaMA-Factory would do with a data set and a configuration, found without running it.

From image headers and the tokenizer's vocabulary alone: no torch, no pixels, no GPU. The rules are those of
LLaMA-Factory 0.9.5 with datasets 4.0 and transformers 5.6; tests/trainer/test_check_differential.py holds
them against the installed packages.
"""

from __future__ import annotations
