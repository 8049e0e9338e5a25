"""The loopback server with OpenAI's Files and Batches API, as far as clients use it.

    with LoopbackBatches() as server:
        server.plan = lambda batch: batch.number == 0 and Plan("expired", answered=3)
        ... run.mode: batch ...
        assert [len(batch.lines) for batch in server.batches] == [10, 7]

Lines are answered as calls are (`script`, `answer`), in reverse order; those that `script` lets fail stand in
the error file. `seen` is called with a word at every step, before the client hears of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any, Literal

import orjson

from tests.support.loopback import Call, Loopback, Reply, _completion_of

Status = Literal["completed", "expired", "cancelled", "failed"]


@dataclass(frozen=True)
class Plan:
    """What becomes of a batch."""

    status: Status = "completed"
    answered: int | None = None
    """Lines that are answered; all of them when not given."""
    unanswered: Literal["error", "missing"] = "error"
    """Whether the others stand in the error file, or nowhere."""
    errors: tuple[tuple[str, str], ...] = ()
    """Code and message of a batch that failed."""
    garbled: int = 0
    """Lines of the output that are cut in the middle."""


@dataclass
class BatchJob:
    """A batch that was ordered."""

    number: int
    file_id: str
    metadata: dict[str, str]
    lines: list[dict[str, Any]]
    plan: Plan
    ready_at: float
    created_at: int
    endpoint: str
    output_id: str | None = None
    errors_id: str | None = None
    looks: int = 0

    @property
    def id(self) -> str:
        return f"batch_{self.number}"

    @property
    def ids(self) -> list[str]:
        return [line["custom_id"] for line in self.lines]


@dataclass
class _Files:
    content: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, data: bytes) -> str:
        self.count += 1
        name = f"file-{self.count}"
        self.content[name] = data
        return name


class LoopbackBatches(Loopback):
    """The server. Calls for single completions work as ever and are counted apart."""

    def __init__(self, *, delay_s: float = 0.0, models: tuple[str, ...] = ("gpt-4o-mini",)) -> None:
        super().__init__(models=models)
        self.delay_s = delay_s
        self.is_held = False
        """No batch ends while this is so."""
        self.plan: Callable[[BatchJob], Plan | None] = lambda batch: None
        self.seen: Callable[[str], Reply | None] = lambda step: None
        """Told of upload, order, list, look and fetch; a reply takes the place of the server's own."""
        self.batches: list[BatchJob] = []
        self.uploads: list[int] = []
        """Sizes in bytes."""
        self.files = _Files()

    @property
    def questions(self) -> list[str]:
        """The `custom_id` of every line that was ordered."""
        return [id_ for batch in self.batches for id_ in batch.ids]

    async def _elsewhere(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        kind, _, rest = path.removeprefix("/v1/").removeprefix("/openai/").partition("?")[0].partition("/")
        step = {
            ("files", "POST", False): "upload",
            ("files", "GET", True): "fetch",
            ("files", "DELETE", True): "delete",
            ("batches", "POST", False): "order",
            ("batches", "GET", False): "list",
            ("batches", "GET", True): "look",
        }.get((kind, method, bool(rest)))
        if step is None:
            return Reply(404, "Not Found")
        reply = getattr(self, f"_{step}")(rest, headers, body)
        # In a thread, so that `seen` may wait or kill without holding the server.
        instead = await asyncio.to_thread(self.seen, step)
        return instead or reply

    def _upload(self, rest: str, headers: dict[str, str], body: bytes) -> Reply:
        head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
        parts = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in BytesParser().parsebytes(head + body).get_payload()
        }
        assert parts["purpose"] == b"batch"
        self.uploads.append(len(parts["file"]))
        name = self.files.add(parts["file"])
        return _json(_file(name, parts["file"]))

    def _delete(self, rest: str, headers: dict[str, str], body: bytes) -> Reply:
        self.files.deleted.append(rest)
        return _json(
            {"id": rest, "object": "file", "deleted": self.files.content.pop(rest, None) is not None}
        )

    def _fetch(self, rest: str, headers: dict[str, str], body: bytes) -> Reply:
        data = self.files.content.get(rest.removesuffix("/content"))
        return Reply(404, "No such File object") if data is None else Reply(raw=data)

    def _order(self, rest: str, headers: dict[str, str], body: bytes) -> Reply:
        asked = orjson.loads(body)
        assert asked["completion_window"] == "24h"
        assert asked["endpoint"] in ("/v1/chat/completions", "/chat/completions"), "Azure's is the second"
        lines = [orjson.loads(line) for line in self.files.content[asked["input_file_id"]].splitlines()]
        batch = BatchJob(
            len(self.batches),
            asked["input_file_id"],
            asked.get("metadata") or {},
            lines,
            Plan(),
            time.monotonic() + self.delay_s,
            int(time.time()),
            asked["endpoint"],
        )
        batch.plan = self._check(batch) or self.plan(batch) or Plan()
        self.batches.append(batch)
        return _json(self._shown(batch))

    def _check(self, batch: BatchJob) -> Plan | None:
        """What OpenAI validates: unique ids, one known model, its limits."""
        models = {line["body"]["model"] for line in batch.lines}
        assert len(set(batch.ids)) == len(batch.ids)
        assert all(batch.ids)
        assert {(line["method"], line["url"]) for line in batch.lines} == {("POST", batch.endpoint)}
        assert len(batch.lines) <= 50_000
        if len(models) > 1:
            return Plan("failed", errors=(("mismatched_model", "All requests must use one model."),))
        if not models <= set(self.models):
            words = f"The model `{models.pop()}` does not exist or you do not have access to it."
            return Plan("failed", errors=(("model_not_found", words),))
        return None

    def _list(self, rest: str, headers: dict[str, str], body: bytes) -> Reply:
        found = [self._shown(batch) for batch in reversed(self.batches)]
        return _json({"object": "list", "data": found, "has_more": False})

    def _look(self, rest: str, headers: dict[str, str], body: bytes) -> Reply:
        found = next((batch for batch in self.batches if batch.id == rest), None)
        if found is None:
            return Reply(404, f"No batch found with id '{rest}'.")
        found.looks += 1
        return _json(self._shown(found))

    def _shown(self, batch: BatchJob) -> dict[str, Any]:
        is_ready = not self.is_held and time.monotonic() >= batch.ready_at
        status = batch.plan.status if is_ready else "in_progress"
        if is_ready and batch.output_id is None and batch.plan.status != "failed":
            self._run(batch)
        errors = [
            {"code": code, "message": message, "line": None, "param": None}
            for code, message in batch.plan.errors
        ]
        done = len(self.files.content.get(batch.output_id or "", b"").splitlines())
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "errors": {"object": "list", "data": errors} if status == "failed" else None,
            "input_file_id": batch.file_id,
            "completion_window": "24h",
            "status": status,
            "output_file_id": batch.output_id,
            "error_file_id": batch.errors_id,
            "created_at": batch.created_at,
            "request_counts": {"total": len(batch.lines), "completed": done, "failed": 0},
            "metadata": batch.metadata,
        }

    def _run(self, batch: BatchJob) -> None:
        output, errors = [], []
        most = len(batch.lines) if batch.plan.answered is None else batch.plan.answered
        for number, line in enumerate(batch.lines):
            found: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": line["custom_id"]}
            if number >= most:
                code = f"batch_{batch.plan.status}" if batch.plan.status != "completed" else "server_error"
                message = "This request could not be executed before the completion window expired."
                if batch.plan.unanswered == "error":
                    errors.append({**found, "response": None, "error": {"code": code, "message": message}})
                continue
            status, body = self._answered(line["body"])
            found["response"] = {"status_code": status, "request_id": f"r{number}", "body": body}
            (output if status == 200 else errors).append({**found, "error": None})
        data = [orjson.dumps(line) for line in reversed(output)]
        data = [line[: len(line) // 2] if at < batch.plan.garbled else line for at, line in enumerate(data)]
        batch.output_id = self.files.add(b"".join(line + b"\n" for line in data))
        if errors:
            batch.errors_id = self.files.add(b"".join(orjson.dumps(line) + b"\n" for line in errors))

    def _answered(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to one line."""
        call = Call(self.count, body, {}, len(orjson.dumps(body)), time.monotonic())
        self.count += 1
        question = call.id or call.text
        call._attempt = self._seen.get(question, 0)
        self._seen[question] = call._attempt + 1
        self.calls.append(call)
        reply = self._reply(call)
        if reply.raw is not None:
            return reply.status, orjson.loads(reply.raw)
        if reply.status == 200:
            return 200, _completion_of(call, reply)
        return reply.status, {"error": {"message": reply.content, "type": "error", "code": reply.code}}


def _json(value: dict[str, Any]) -> Reply:
    return Reply(raw=orjson.dumps(value))


def _file(name: str, data: bytes) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": len(data),
        "created_at": int(time.time()),
        "filename": "in.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
