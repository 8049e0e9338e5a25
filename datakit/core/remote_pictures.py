"""Pictures of an object store: kept as files beside the results, so that all else reads them as files.

A copy lies where its URL says, and its time of change stands for the version of the object (`_version`): the
version that the store has is not fetched twice. What lies under a URL is told by its content alone, as with
files. Credentials are those of the environment; no message holds one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from datakit.core.credentials import masked
from datakit.core.errors import Exit, UserError, missing_extra
from datakit.core.files import says_full
from datakit.core.image import ImageProblem
from datakit.core.private_files import private_folder
from datakit.core.step_context import StepContext

STORES = {"s3": "s3fs", "gs": "gcsfs", "oss": "ossfs", "hdfs": "pyarrow"}
"""Schemes that are read, each an extra too -> the package that fsspec reads them with. A closed list: others
of fsspec's are this machine's files, web addresses and archives."""
_VARIABLES = {"s3": ("AWS_",), "gs": ("GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_HOST"), "oss": ("OSS_",)}
"""How the variables begin that name a store and hold its credentials."""
_ROOT = re.compile(rf"(?:{'|'.join(STORES)})://[^/@?#\s]+(?:/[^@?#\s]*)?")
_URL = re.compile(rf"(?:{'|'.join(STORES)})://[^/]+/.+", re.DOTALL)
_AT_ONCE = 32
"""Requests under way: most of one is waiting."""
_PICTURES, _FOLDER = "pictures", "remote"
_NAME_CHARS = 200
"""Of a copy's path to the next slash; most file systems take 255."""
_NO_WORDS = {"400", "403", "404"}
_OF_ONE_OBJECT = {"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "403", ""}
"""Codes of S3 that speak of an object; other refusals are of the credentials. Other stores have none."""
_REMEDY = (
    "Credentials and the address of the store are taken from the environment (for s3: AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL). The same command goes on with what was "
    "fetched."
)

Copied = str | ImageProblem
"""The path of a copy, or why there is none."""


def is_remote(path: str) -> bool:
    """Whether a text begins as the address of a store that is read."""
    return path.partition("://")[0] in STORES and "://" in path


def is_address(path: str) -> bool:
    """Whether a text is meant as an address: `s3:/x` is no folder."""
    return "://" in path or (":/" in path and path.partition(":/")[0] in STORES)


def fault_of_root(url: str) -> str | None:
    """What is wrong with an address that pictures lie below, without a part of it; None where nothing is."""
    if _ROOT.fullmatch(url):
        return None
    schemes = ", ".join(f"{scheme}://" for scheme in STORES)
    return (
        f"no address of a store that is read ({schemes}, then the bucket and a folder); credentials stand in "
        "the environment, never in an address"
    )


def pictures_folder(context: StepContext) -> Path:
    """Where pictures lie that are no files of the user's: beside the project's results."""
    return context.run.store_folder(context.project).absolute() / _PICTURES


def copy_of(url: str, folder: Path) -> str:
    """The path of a URL's copy. Names go on in a folder ending in `+`, as no whole name does."""
    text = quote(url, safe="")
    pieces = [text[at : at + _NAME_CHARS] for at in range(0, len(text), _NAME_CHARS)]
    spread = hashlib.sha256(url.encode()).hexdigest()[:2]
    return str(folder / _FOLDER / spread / "+/".join(pieces))


def url_of(path: str) -> str | None:
    """The URL that a path is the copy of, beside whichever results."""
    folder, _, place = path.rpartition(f"/{_FOLDER}/")
    url = unquote(place[3:].replace("+/", ""))
    is_copy = folder.endswith(f"/{_PICTURES}") and _URL.fullmatch(url) and copy_of(url, Path(folder)) == path
    return url if is_copy else None


def by_url(text: str) -> str:
    """A picture's path, or a sentence that begins with it, by the URL that the path is the copy of."""
    path, colon, words = text.partition(": ")
    return f"{url_of(path) or path}{colon}{words}"


def fetched(urls: Iterable[str], folder: Path, *, look: bool = True) -> dict[str, Copied]:
    """URL -> its copy, or why there is none. Unless `look` is False, it is that of the object as the store
    has it now.

    Raises UserError for a store that cannot be read at all, or does not answer.
    """
    copies: dict[str, Copied] = {url: copy_of(url, folder) for url in urls}
    wanted = [url for url, copy in copies.items() if look or not os.path.exists(str(copy))]
    for url in wanted[:1]:
        _filesystem(url)  # in one thread: packages are imported
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return copies | dict(zip(wanted, pool.map(lambda url: _fetched(url, folder), wanted), strict=True))


def refreshed(paths: Iterable[str], context: StepContext, schemes: Collection[str]) -> dict[str, str] | None:
    """Path -> the copy beside the project's results, for copies among the paths beside whichever results they
    lie: that of the object as the store has it. None where an object cannot be had.

    Only of the schemes that the recipe reads itself: paths are data, which may not use the credentials.
    """
    urls = {path: url for path in paths if (url := url_of(path)) and url.partition("://")[0] in schemes}
    copies = fetched(urls.values(), pictures_folder(context), look=context.looks_at_stores)
    found = {path: copy for path, url in urls.items() if isinstance(copy := copies[url], str)}
    return found if len(found) == len(urls) else None


def read(url: str) -> bytes:
    """The object's bytes. Raises whatever the store's package does."""
    data: bytes = _filesystem(url).cat_file(url)
    return data


def environment(urls: Iterable[str]) -> dict[str, str]:
    """The variables of this process by which the stores of some URLs are read."""
    schemes = {url.partition("://")[0] for url in urls}
    heads = tuple(head for scheme in schemes for head in _VARIABLES.get(scheme, ()))
    return {name: value for name, value in os.environ.items() if name.startswith(heads)}


def _fetched(url: str, folder: Path) -> Copied:
    store, copy = _filesystem(url), Path(copy_of(url, folder))
    try:
        info = store.info(url)
        if info["type"] == "directory":
            return ImageProblem("image_path_is_folder", f"{url}: is a folder, not a picture")
        version = _version(info)
        if not copy.exists() or copy.stat().st_mtime_ns != version:
            private_folder(folder.parent)
            _write(store, url, copy, version)
        return str(copy)
    except Exception as error:  # each store's package has errors of its own; the user sees them
        if says_full(error):
            raise
        problem = _problem(store, url, error)
        if problem.reason == "image_missing":
            copy.unlink(missing_ok=True)
        return problem


def _problem(store: Any, url: str, error: Exception) -> ImageProblem:
    """What is wrong with one object. Raises UserError where it is the store, or the credentials."""
    if _code(error) in _NO_WORDS:  # a HEAD has no body
        try:
            store.cat_file(url, start=0, end=1)
        except Exception as told:
            error = told
    if _code(error) == "NoSuchBucket":
        bucket = "/".join(url.split("/")[:3])
        raise UserError(
            f"there is no bucket {bucket}, from which {url} is to be read",
            remedy=_REMEDY,
            exit_code=Exit.PROVIDER,
        ) from None
    if isinstance(error, FileNotFoundError):
        return ImageProblem("image_missing", f"{url}: there is no such object")
    if isinstance(error, PermissionError) and _code(error) in _OF_ONE_OBJECT:
        words = "the store does not let these credentials read it, or there is no such object"
        return ImageProblem("image_no_access", f"{url}: {words} ({masked(str(error))})")
    raise _unreadable(url, error) from None


def _code(error: BaseException) -> str:
    """The store's own word for an error of S3; "" where it has none."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _unreadable(url: str, error: Exception) -> UserError:
    code = f"{code}: " if (code := _code(error)) else ""
    words = masked(f"{code or type(error).__name__ + ': '}{error}")
    return UserError(f"{url} cannot be read: {words}", remedy=_REMEDY, exit_code=Exit.PROVIDER)


def _version(info: dict[str, Any]) -> int:
    """What differs between versions of an object, as nanoseconds: its tag, time and size."""
    names = ("ETag", "etag", "LastModified", "mtime", "updated", "size")
    told = repr([str(info.get(name)) for name in names])
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:7])  # before 1973: no file's own time


@contextmanager
def whole_copy(copy: Path) -> Iterator[Path]:
    """An empty file beside `copy` to be filled, which then takes its place: it is whole or absent, even when
    the process is killed. For others too where the folder lets them: builds link to copies."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_name(f".{secrets.token_hex(8)}")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    try:
        yield part
        os.replace(part, copy)
    except BaseException:
        os.unlink(part)
        raise


def _write(store: Any, url: str, copy: Path, version: int) -> None:
    with whole_copy(copy) as part:
        store.get_file(url, str(part))
        os.utime(part, ns=(version, version))


def _filesystem(url: str) -> Any:
    scheme, _, rest = url.partition("://")
    for package in ("fsspec", STORES[scheme]):
        if importlib.util.find_spec(package) is None:
            raise missing_extra(package, scheme, f"Reading pictures of {scheme}://")
    try:
        return _connected(scheme, rest.partition("/")[0] if scheme == "hdfs" else "")
    except Exception as error:  # a package that is too old, a namenode that does not answer
        raise _unreadable(url, error) from None


@lru_cache(maxsize=16)
def _connected(scheme: str, host: str) -> Any:
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme == "s3":
        options["config_kwargs"] = {"connect_timeout": 4, "read_timeout": 10, **_tries()}
    if scheme == "hdfs":
        name, _, port = host.partition(":")
        options = {"host": name or "default", **({"port": int(port)} if port.isdecimal() else {})}
    store = fsspec.filesystem(scheme, **options)
    if scheme == "s3":
        store.retries = 2  # of each of these tries
    return store


def _tries() -> dict[str, Any]:
    """How often a request is tried unless the environment says: a store that is down is told in seconds."""
    if os.environ.get("AWS_MAX_ATTEMPTS"):
        return {}
    return {"retries": {"total_max_attempts": 3, "mode": "standard"}}
