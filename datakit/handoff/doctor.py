"""What keeps a machine from training, serving and scoring a bundle: every fault at once, each with its remedy.

It starts nothing and changes nothing. Written with the standard library alone, for any Python of 3.10 or later.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from datakit.artifacts import names
from datakit.artifacts.needs import PACKAGES
from datakit.core.regular_files import read_regular, regular
from datakit.handoff import machine_probes
from datakit.handoff.base_model import examine_base
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.finding import FAULT, FINE, WARNING, Finding

SUMS = "SHA256SUMS"
_GIB = 1 << 30
_LITTLE_SHARED = 1 << 30
"""Bytes of /dev/shm: a container has 64 MiB unless it is given more, and workers hand pictures over in it."""
Check = Callable[[BundleSettings], Iterator[Finding]]


def examine(settings: BundleSettings) -> Iterator[Finding]:
    """Every finding, in the order of what is needed; the slow programs are tried at once."""
    yield from _all(settings, (_files, _data, _python, *machine_probes.CHECKS, examine_base, _disk, _memory, _port))


def examine_quickly(settings: BundleSettings) -> Iterator[Finding]:
    """What is looked at before every training: the bundle, its GPUs, the base model and the disk."""
    yield from _all(settings, (_files, _data, machine_probes.gpus, examine_base, _disk))


def _all(settings: BundleSettings, checks: Iterable[Check]) -> Iterator[Finding]:
    with ThreadPoolExecutor() as pool:
        for findings in [pool.submit(lambda check=check: list(check(settings))) for check in checks]:
            yield from findings.result()
