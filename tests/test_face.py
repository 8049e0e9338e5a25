"""The library's face: its names stay what they say, whatever is imported, and none is a module's."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys

import datakit as dk

PLANNED = {
    "train",
    "serve",
    "predict",
    "bundle",
}
"""Functions that the face will have: a package of such a name would hide the function once it is imported."""
NAMESPACES = {"read", "annotate", "guard", "curate", "balance", "render", "mix", "emit"}
"""The folders of the flow, whose transforms are reached through them."""


def test_no_module_bears_the_name_of_a_function() -> None:
    modules = {module.name for module in pkgutil.iter_modules(dk.__path__)}
    assert modules & {*dk.__all__, *PLANNED} == set()
    assert modules >= NAMESPACES
    assert {*dk.__all__, *PLANNED} & NAMESPACES == set()


def test_names_are_what_they_say_after_every_module_was_imported() -> None:
    code = """
import importlib, pkgutil, sys
import datakit as dk
before = {name: getattr(dk, name) for name in dk.__all__}
for module in pkgutil.walk_packages(dk.__path__, "datakit."):
    if ".payload" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert {name: getattr(dk, name) for name in dk.__all__} == before
assert all(getattr(dk, name).__name__ == name for name in dk.__all__), before
print(len([name for name in sys.modules if name.startswith("datakit.")]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


def test_face_is_documented() -> None:
    assert {"build", "load", "apply", "open_build", "OpenedBuild"} <= set(dk.__all__)
    assert [name for name in dk.__all__ if not inspect.getdoc(getattr(dk, name))] == []
    assert set(dk.__all__) <= set(dir(dk))
