"""OpenAI's Files and Batches API, as far as a batch file needs it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import orjson

from datakit.core.credentials import Mask
from datakit.core.errors import StopProvider
from datakit.core.regular_files import regular
from datakit.llm._endpoint import Endpoint
from datakit.llm._faults import Fault

if TYPE_CHECKING:
    from openai.types import Batch

Result = TypeVar("Result")

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_TIMEOUT_S = 600.0
"""For a file of 200 MB."""
_MARK = "datakit"
"""Name of the batch's metadata that says which file of ours it is."""
_EARLIER_S = 3600.0
"""Clocks of the two machines differ by less."""


class Unreachable(Exception):
    """The endpoint did not answer, or not sensibly, after all tries."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class BatchService:
    """Uploads, batches and results at one endpoint. Every method raises StopProvider or Unreachable."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self.provider = endpoint, endpoint.provider
        face, retries = endpoint.provider.face, endpoint.settings.max_retries
        assert face is not None  # a provider with a `batch_path` has one
        self._face = face.with_options(max_retries=retries, timeout=_TIMEOUT_S)

    async def upload(self, path: Path) -> str:
        """The id of the uploaded file."""

        async def go() -> str:
            with open(path, "rb", opener=regular) as file:
                return (await self._face.files.create(file=file, purpose="batch")).id

        return await self._safely(go)

    async def submit(self, file_id: str, name: str, since: float) -> Batch:
        """The batch of an uploaded file. It is made once: after an unclear failure it is looked for first."""

        # The package's own tries are off, for they would pay twice when only the answer got lost.
        async def go() -> Batch:
            return await self._face.with_options(max_retries=0).batches.create(
                input_file_id=file_id,
                endpoint=self.provider.batch_path,  # type: ignore[arg-type]  # Azure has a path of its own
                completion_window="24h",
                metadata={_MARK: name},
            )

        for left in reversed(range(self._endpoint.settings.max_retries + 1)):
            try:
                return await self._safely(go)
            except Unreachable:
                batch = await self.find(file_id, name, since)
                if batch is not None:
                    return batch
                if not left:
                    raise
        raise AssertionError("a loop of at least one try ends in it")

    async def find(self, file_id: str, name: str, since: float) -> Batch | None:
        """The batch that was made of an uploaded file, if there is one."""

        async def go() -> Batch | None:
            async for batch in self._face.batches.list(limit=100):  # the newest first
                if batch.input_file_id == file_id or (batch.metadata or {}).get(_MARK) == name:
                    return batch
                if batch.created_at < since - _EARLIER_S:
                    break
            return None

        return await self._safely(go)

    async def look(self, batch_id: str) -> Batch:
        """How a batch stands. Raises StopProvider when the endpoint does not know it."""
        return await self._safely(lambda: self._face.batches.retrieve(batch_id), batch_id)

    async def fetch(self, file_id: str, target: Path) -> None:
        """The content of a file, whole."""

        async def go() -> None:
            partial = target.with_suffix(".part")
            content = await self._face.files.content(file_id)  # whole, so that the package tries again
            partial.write_bytes(self._mask.in_answers(content.content))
            os.replace(partial, target)

        await self._safely(go, file_id)

    async def delete(self, *file_ids: str | None) -> None:
        """Removes files at the provider, whose disk holds pictures of the user's. As far as that succeeds."""
        from openai import OpenAIError

        for file_id in file_ids:
            if file_id:
                with contextlib.suppress(OpenAIError):
                    await self._face.with_options(max_retries=0, timeout=15).files.delete(file_id)

    async def refused(self, batch: Batch) -> StopProvider | None:
        """Why a batch failed as a whole; None when it has to wait for room in the queue."""
        errors = (batch.errors.data if batch.errors else None) or []
        if any(error.code == "token_limit_exceeded" for error in errors):
            return None
        words = "; ".join(f"{error.code}: {error.message}" for error in errors[:5]) or "no reason was given"
        words = self._mask(words)
        fault = self.provider.fault(400, {}, orjson.dumps({"error": {"message": words}}))
        if fault.fate == "stop":
            return await self._endpoint.stop(fault)
        return StopProvider(f"{self._address} refused the batch {batch.id}. {words}", "Nothing was answered.")

    def down(self, why: Unreachable) -> StopProvider:
        """The error for an endpoint that stays out of reach."""
        return StopProvider(
            f"{self._address} cannot be reached; the last failure: {why}",
            "What was answered is stored, and batches that were sent go on: run the same command later.",
        )

    @property
    def _mask(self) -> Mask:
        return self._endpoint.connection.mask

    @property
    def _address(self) -> str:
        return self._endpoint.address

    async def _safely(self, call: Callable[[], Awaitable[Result]], batch_id: str = "") -> Result:
        """The result of a call; `known` is the id of something that was there before."""
        from openai import APIConnectionError, APIResponseValidationError, APIStatusError

        try:
            return await call()
        except APIStatusError as error:
            response = error.response
            content = orjson.dumps({"error": error.body}) if error.body else str(error).encode()
            content = self._mask.in_bytes(content)
            fault = self.provider.fault(response.status_code, response.headers, content)
        except (APIConnectionError, APIResponseValidationError, AttributeError, ValueError) as error:
            # The last two: the package makes no object of a body that is no JSON, such as a proxy's page.
            fault = Fault("again", "connection_lost", self._mask(f"{type(error).__name__}: {error}")[:300])
        if fault.fate == "again":
            raise Unreachable(fault)
        raise await self._stopped(fault, batch_id)

    async def _stopped(self, fault: Fault, batch_id: str) -> StopProvider:
        if fault.reason == "address" and batch_id:
            return StopProvider(
                f"{self._address} does not know {batch_id} any more. {fault.detail}",
                "Is the key that of another account? Nothing is sent again while the batch's folder stands.",
            )
        if fault.reason == "address":
            return StopProvider(
                f"{self._address} has no Files and Batches API. {fault.detail}",
                "Set run.mode: calls; or batch_files, and have the files run by `vllm run-batch`.",
            )
        if fault.fate == "stop":
            return await self._endpoint.stop(fault)
        return StopProvider(f"{self._address} refused the batch. {fault.detail}", "Nothing was sent.")
