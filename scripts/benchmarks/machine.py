"""What figures depend on: the machine, and the versions of what ran."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.runner import installed

PACKAGES = (
    "datakit", "polars", "pillow", "numpy", "jinja2", "orjson", "scikit-learn", "openai", "aiohttp",
    "rapidocr", "onnxruntime", "psycopg", "ray", "phonenumbers", "simplejpeg",
)  # fmt: skip


def machine() -> dict[str, str | int]:
    """Cores that this process may use, the processor's name, memory in MB of 2^20 bytes, the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {"cores": cores, "cpu": cpu_model(), "memory_mb": memory, "system": platform.system()}


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the system gives it, or its architecture."""
    try:
        lines = cpuinfo.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Of Python and of the packages that are installed."""
    return {"python": platform.python_version(), **{name: v for name in PACKAGES if (v := installed(name))}}
