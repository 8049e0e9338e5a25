"""The names that a template takes from outside: those that it reads where it has not set them itself."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import meta, nodes

_INNER = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.With, nodes.Block, nodes.Scope)
"""What has names of its own, which end with it."""
_FIRST: dict[type[nodes.Node], str] = {
    nodes.Assign: "node",
    nodes.AssignBlock: "body",
    nodes.For: "iter",
    nodes.With: "values",
}
"""The field that is gone through before those that set names."""


def names_from_outside(template: nodes.Template) -> set[str]:
    """The names that are read, on any way through the template, before they are set on it.

    Jinja alone takes a name that one branch of an `if` sets for one from outside, also where that branch
    itself reads it.

    >>> from jinja2 import Environment
    >>> sorted(names_from_outside(Environment().parse("{% if a %}{% set b = c %}{{ b }}{% endif %}")))
    ['a', 'c']
    """
    unset: set[str] = set()
    _read(template, set(), unset)
    return meta.find_undeclared_variables(template) & unset


def _read(node: nodes.Node, known: set[str], unset: set[str]) -> None:
    """Adds to `known` what the node sets for those that follow, and to `unset` what it reads before."""
    if isinstance(node, nodes.If):
        _read_branches(node, known, unset)
        return
    if isinstance(node, nodes.Macro):
        known.add(node.name)
    if isinstance(node, nodes.Name):
        if node.ctx == "load" and node.name not in known:
            unset.add(node.name)
        elif node.ctx != "load":
            known.add(node.name)
    if isinstance(node, nodes.Import):
        known.add(node.target)
    if isinstance(node, nodes.FromImport):
        known.update(name if isinstance(name, str) else name[1] for name in node.names)
    inner = set(known) if isinstance(node, _INNER) else known
    first = _FIRST.get(type(node))
    if first is not None:
        _read_all(node.iter_child_nodes(only=(first,)), inner, unset)
    _read_all(node.iter_child_nodes(exclude=(first,) if first else None), inner, unset)


def _read_all(parts: Iterable[nodes.Node], known: set[str], unset: set[str]) -> None:
    for part in parts:
        _read(part, known, unset)


def _read_branches(node: nodes.If, known: set[str], unset: set[str]) -> None:
    """Known afterwards is what every branch sets."""
    _read(node.test, known, unset)
    for branch in node.elif_:
        _read(branch.test, known, unset)
    ends = []
    for body in (node.body, *(branch.body for branch in node.elif_), node.else_):
        _read_all(body, inner := set(known), unset)
        ends.append(inner)
    known |= set.intersection(*ends)
