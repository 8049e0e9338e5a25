"""Why a data set of a hub cannot be had, in words with what to do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datakit.core.credentials import masked
from datakit.core.errors import Exit, UserError, did_you_mean

TOKEN = "HF_TOKEN"
"""Environment variable with the key of the hub."""
_WAIT_S = 10.0
"""Longest wait for the hub's first answer; `datasets` alone asks a hub that is not there for 25 seconds."""
_NAMES = re.compile(r"(?:available configs|Available): \[(.*)\]")


@contextmanager
def reached_hub(path: str, revision: str | None) -> Iterator[Exception | None]:
    """What the hub says against giving a data set away, None for nothing.

    Inside, `datasets` looks into its cache alone where the hub cannot be reached.
    """
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    said: Exception | None = None
    offline = datasets.config.HF_HUB_OFFLINE
    try:
        if offline:
            raise OfflineModeIsEnabled
        HfApi().dataset_info(path, revision=revision, timeout=_WAIT_S)
    except (HfHubHTTPError, OfflineModeIsEnabled) as error:
        said = error
    except Exception as error:  # requests, httpx or httpx2, by the library's version; `hub_fault` tells it
        said = error
        datasets.config.HF_HUB_OFFLINE = True
    try:
        yield said
    finally:
        datasets.config.HF_HUB_OFFLINE = offline


def hub_fault(path: str, error: Exception, said: Exception | None) -> UserError:
    """The error for a data set of a hub that `datasets` could not load, and what the hub had said before."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(said, HfHubHTTPError):
        return _refused(path, said)
    if isinstance(said, OfflineModeIsEnabled):
        return UserError(
            f"cannot load the data set {path}: it is not in the cache of this machine, and HF_HUB_OFFLINE "
            "forbids to fetch it",
            remedy="Unset HF_HUB_OFFLINE; or fetch it elsewhere, and name its folder.",
        )
    if said is not None:
        import huggingface_hub

        return UserError(
            f"the hub {huggingface_hub.constants.ENDPOINT} cannot be reached for the data set {path}: "
            f"{masked(str(said)).strip() or type(said).__name__}",
            remedy="Check the network, HTTPS_PROXY and HF_ENDPOINT (the address of a mirror); or fetch it "
            "elsewhere, and name its folder. It is not in the cache of this machine either.",
            exit_code=Exit.PROVIDER,
        )
    return load_fault(path, error, "Look at its page on the hub: does it hold pictures or tables?")


def _refused(path: str, said: Any) -> UserError:
    """The error for an answer of the hub that is a refusal."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = said.response.status_code
    has_key = bool(os.environ.get(TOKEN, "").strip())
    key = (
        f"see that the key in {TOKEN} is right and may read it."
        if has_key
        else f"set {TOKEN} to a key of the hub that may read it (export {TOKEN}=hf_...)."
    )
    if isinstance(said, GatedRepoError):
        return UserError(
            f"the data set {path} is given only to those who agreed to its terms (HTTP {status})",
            remedy=f"Agree on its page, then {key}",
            exit_code=Exit.PROVIDER,
        )
    if isinstance(said, RevisionNotFoundError):
        return UserError(f"the data set {path} has no such revision", remedy="Check `revision`.")
    if isinstance(said, RepositoryNotFoundError) or status in (401, 403):
        return UserError(
            f"cannot load the data set {path}: the hub has none of that name, or it is private "
            f"(HTTP {status})",
            remedy=f"Check the name; a folder of that name is not here either. If it is private: {key}",
        )
    return UserError(
        f"the hub refused the data set {path}: HTTP {status}",
        remedy="Try again later.",
        exit_code=Exit.PROVIDER,
    )


def load_fault(path: str, error: BaseException, remedy: str) -> UserError:
    """The error for a data set that is there, and that `datasets` could not load."""
    text = masked(str(error)).strip()
    names = re.findall(r"'([^']+)'", "".join(_NAMES.findall(text)))
    if len(names) > 1 or "BuilderConfig" in text:
        asked = re.search(r"BuilderConfig '([^']+)'", text)
        hint = did_you_mean(asked.group(1), names) if asked else ""
        return UserError(
            f"the data set {path} has several configurations: {', '.join(names)}"
            if asked is None
            else f"the data set {path} has no configuration `{asked.group(1)}`, but {', '.join(names)}",
            remedy=f"{hint} Say which: `subset: {names[0] if names else '…'}`.".strip(),
        )
    if "scripts are no longer supported" in text:
        remedy = "The hub keeps a copy as tables of many such sets: `revision: refs/convert/parquet`."
    # One that says nothing itself.
    while error.__cause__ is not None and type(error).__name__ == "DatasetGenerationError":
        error = error.__cause__
    lines = masked(str(error)).strip().splitlines() or [type(error).__name__]
    return UserError(f"cannot load the data set {path}: {lines[0]}", remedy=remedy)
