"""Pictures by path, by address or as bytes: a file that can be opened, whatever they came as."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from datakit.core.image import ImageProblem

MAX_BYTES = 64 << 20
"""Largest picture that is fetched."""


async def path_of(image: str | Path | bytes, folder: Path, timeout_s: float) -> str:
    """The absolute path of the picture; fetched or given bytes are kept in `folder`. Raises ImageProblem."""
    if isinstance(image, bytes):
        return await asyncio.to_thread(_kept, image, folder)
    text = str(image)
    if text.startswith(("http://", "https://")):
        return await asyncio.to_thread(_kept, await _fetched(text, timeout_s), folder)
    if "://" in text[:16]:
        raise ImageProblem("image_missing", f"{text}: only http and https addresses are fetched")
    return str(Path(text).expanduser().absolute())


def _kept(data: bytes, folder: Path) -> str:
    if not data:
        raise ImageProblem("image_empty", "the picture has 0 bytes")
    path = folder / hashlib.sha256(data).hexdigest()[:32]
    if not path.exists():
        draft = path.with_suffix(".part")
        draft.write_bytes(data)
        draft.rename(path)
    return str(path)


async def _fetched(url: str, timeout_s: float) -> bytes:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True) as session,
            session.get(url) as answer,
        ):
            if answer.status != 200:
                raise ImageProblem("image_missing", f"{url}: the server answered {answer.status}")
            data = await answer.content.read(MAX_BYTES + 1)
            while len(data) <= MAX_BYTES and (more := await answer.content.read(MAX_BYTES + 1)):
                data += more
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ImageProblem("image_missing", f"{url}: {type(error).__name__}: {error}"[:300]) from None
    if len(data) > MAX_BYTES:
        raise ImageProblem("image_too_large", f"{url}: over {MAX_BYTES >> 20} MB")
    return data
