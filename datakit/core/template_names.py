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


_Names = frozenset[str]


def needed_names(template: nodes.Template) -> set[str]:
    """The names that are read where no condition has asked whether they are there.

    >>> from jinja2 import Environment
    >>> sorted(needed_names(Environment().parse("{% if a is defined %}{{ a }}{% endif %}{{ b }}")))
    ['b']
    """
    needed: set[str] = set()
    _need(template, frozenset(), needed)
    return needed


def _need(node: nodes.Node, sure: _Names, needed: set[str]) -> None:
    """Adds what is read of names besides those that are `sure` to be there."""
    if isinstance(node, nodes.If):
        _need(node.test, sure, needed)
        yes, no = _asked(node.test)
        _need_all(node.body, sure | yes, needed)
        rest = sure | no
        for branch in node.elif_:
            _need(branch, rest, needed)
            rest |= _asked(branch.test)[1]
        _need_all(node.else_, rest, needed)
    elif isinstance(node, nodes.CondExpr):
        _need(node.test, sure, needed)
        yes, no = _asked(node.test)
        _need(node.expr1, sure | yes, needed)
        if node.expr2 is not None:
            _need(node.expr2, sure | no, needed)
    elif isinstance(node, nodes.And | nodes.Or):
        _need(node.left, sure, needed)
        yes, no = _asked(node.left)
        _need(node.right, sure | (yes if isinstance(node, nodes.And) else no), needed)
    elif isinstance(node, nodes.Name):
        needed |= {node.name} - sure if node.ctx == "load" else set()
    elif _is_asked(node):
        _need_all(node.iter_child_nodes(exclude=("node",)), sure, needed)
    else:
        _need_all(node.iter_child_nodes(), sure, needed)


def _need_all(parts: Iterable[nodes.Node], sure: _Names, needed: set[str]) -> None:
    for part in parts:
        _need(part, sure, needed)


def _is_asked(node: nodes.Node) -> bool:
    """Whether a name may be absent here: `x is defined`, `x is undefined`, `x | default('')`."""
    asks = isinstance(node, nodes.Test) and node.name in ("defined", "undefined")
    fills = isinstance(node, nodes.Filter) and node.name in ("default", "d")
    return (asks or fills) and isinstance(getattr(node, "node", None), nodes.Name)


def _asked(test: nodes.Node) -> tuple[_Names, _Names]:
    """The names that are there if a test holds, and those that are if it does not."""
    none: _Names = frozenset()
    if isinstance(test, nodes.Test) and _is_asked(test):
        assert isinstance(test.node, nodes.Name)  # see `_is_asked`
        name = frozenset({test.node.name})
        return (name, none) if test.name == "defined" else (none, name)
    if isinstance(test, nodes.Not):
        yes, no = _asked(test.node)
        return no, yes
    if isinstance(test, nodes.And | nodes.Or):
        (yes, no), (other_yes, other_no) = _asked(test.left), _asked(test.right)
        if isinstance(test, nodes.And):
            return yes | other_yes, no & other_no
        return yes & other_yes, no | other_no
    return none, none
