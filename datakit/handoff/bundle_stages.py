"""The stages of a bundle as its command goes through them, and results.tar at the end."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from datakit.artifacts.results import RESULTS, write_results
from datakit.core.disk_faults import disk_fault
from datakit.core.errors import Exit, UserError
from datakit.core.scripts import shell_words
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.handoff import Account, Handoff, chosen
from datakit.handoff.packed import PackedRoad
from datakit.handoff.stages import GONE, StageRecords
from datakit.handoff.status import status_document, status_lines


def go(settings: BundleSettings, call: argparse.Namespace, line: str) -> int:
    """Goes through the stages that the call names; the exit code."""
    only, again = wanted_stages(call)
    out = sys.stderr if call.json else sys.stdout
    account, brought, why_not = taken(
        settings, line, lambda text: print(text, file=out, flush=True), (only, again, call.start_from)
    )
    if call.json:
        document = {**account.document(), "results": str(brought) if brought is not None else None}
        print(json.dumps(document, ensure_ascii=False, indent=2))
    elif not account.failure:
        print(account.summary)
    if account.failure:
        print(f"error: {account.failure}", file=sys.stderr)
    if why_not:
        print(f"error: {why_not}", file=sys.stderr)
    if brought is not None and not call.json:
        print(home_lines(brought, f"datakit evaluate {RESULTS}", settings.split))
    return account.exit or int(Exit.FAILED if why_not else Exit.FINE)


def taken(
    settings: BundleSettings,
    line: str,
    show: Callable[[str], None],
    stages: tuple[Sequence[str], str, str] = ((), "", ""),
) -> tuple[Account, Path | None, str]:
    """What the stages came to, and results.tar or why there is none.

    `stages` are those that are wanted alone, the first one anew, and the first one.
    """
    only, again, start_from = stages
    road = PackedRoad(settings, command=line, wanted=chosen(only, again, start_from))
    account = Handoff(road, show).go(only=only, again=again, start_from=start_from)
    return (account, *_brought(road, failed=bool(account.failure)))


def status(settings: BundleSettings, *, as_json: bool) -> int:
    """Tells how the last call stands; 0."""
    runs = settings.run.parent
    files = [path for path in runs.glob("*/status*.json") if path.is_file()]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    run = newest.parent if newest is not None else settings.run
    if as_json:
        print(json.dumps(status_document(run, settings.rank), ensure_ascii=False, indent=2))
        return 0
    print(f"Run: {run}")
    for line in status_lines(run, settings.rank, begin="./run.sh"):
        print(line)
    return 0


def wanted_stages(call: argparse.Namespace) -> tuple[Sequence[str], str]:
    """The stages that are named, and the first one that is done anew."""
    only = (*call.only, *call.stages)
    if call.again is None:
        return only, ""
    again = call.again or chosen(only, "", call.start_from)[0]
    return (*only, again) if only and again not in only else only, again


def _brought(road: PackedRoad, *, failed: bool) -> tuple[Path | None, str]:
    """results.tar, or why there is none: what the stages came to is told all the same."""
    try:
        return _bring(road, failed=failed), ""
    except OSError as error:
        why = "\n  ".join(disk_fault(error, road.settings.folder))
    except UserError as error:
        why = str(error)
    return None, f"{RESULTS} is not written: {why}\n  Then run the same command: it packs anew."


def _bring(road: PackedRoad, *, failed: bool) -> Path | None:
    """results.tar in the bundle's folder, of what there is so far, logs of a failure with it.

    None before the first stage that leaves something or fails.
    """
    if road.rank or not (failed or any(StageRecords(road.folder).all())):
        return None
    packed, archive = road.packed.packed, road.settings.folder / RESULTS
    served = GONE if road.elsewhere else road.digests.model(road.run.served)
    write_results(
        archive,
        road.folder,
        name=packed.name,
        content=packed.content,
        run=road.folder.name,
        weights="" if served == GONE else served,
        base=("", "") if road.elsewhere else _base(road),
    )
    return archive


def _base(road: PackedRoad) -> tuple[str, str]:
    """The base model that is trained on, and its digest where it is a folder here."""
    base = str(road.run.keys.get("model_name_or_path") or "")
    folder = road.run.data.path / base
    return base, road.digests.model(folder) if folder.is_dir() else ""


def home_lines(archive: Path, command: str, split: str = "val") -> str:
    """What is typed at home to have the results."""
    others = "" if split == "val" else f" {shell_words(['--split', split])}"
    place = shell_words([f"{socket.gethostname()}:{archive}"])
    return f"Results: {archive}\nAt home, in the project's folder: scp {place} . && {command}{others}"
