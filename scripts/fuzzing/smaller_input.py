"""Makes a failing input smaller in a process of its own, so that one which kills takes nothing along."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

from fuzzing.dice import Tree
from fuzzing.faults import Account


def made_smaller(account: Account, seconds: float) -> Tree:
    """The smallest tree that was met in time; the tree itself where the process died over it."""
    tree: Tree = account.tree
    if seconds <= 0 or account.fault.startswith(("lost", "hang", "memory")):
        return tree
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_shrink, args=(theirs, account, seconds), daemon=True)
    process.start()
    theirs.close()
    try:
        if ours.poll(seconds + 90):
            tree = ours.recv()
    except EOFError:
        pass
    process.kill()
    process.join()
    return tree


def _shrink(pipe: Connection, account: Account, seconds: float) -> None:
    from fuzzing import surroundings
    from fuzzing.one_input import account_of
    from fuzzing.shrink import smaller

    surroundings.prepare()

    def fails(tree: Tree) -> bool:
        try:
            return account_of(account.kind, account.number, tree).fault == account.fault
        except Exception:  # a tree that lacks what the runner itself needs
            return False

    pipe.send(smaller(account.tree, fails, seconds))
