"""Runs where label-studio-sdk and argilla are installed: has them read what datakit wrote, and answer.

python exchange_check.py label-studio FOLDER ANSWERS
python exchange_check.py argilla FOLDER ANSWERS
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PERSON = "00000000-0000-0000-0000-000000000001"


def label_studio(folder: Path, answers: Path) -> None:
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "config.xml").read_text("utf-8"))
    interface.validate()
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    labels = list(interface.get_control("new_label").labels)
    for task in tasks:
        assert interface.validate_task({"data": task["data"]}), task
        for prediction in task.get("predictions", ()):
            faults = interface.validate_prediction(prediction, return_errors=True)
            assert not faults, faults
        task["annotations"] = [annotation(task, labels)]
        assert interface.validate_annotation(task["annotations"][0]), task
    answers.write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")


def annotation(task: dict, labels: list[str]) -> dict:
    """The first task is dropped, the second accepted, all others get the last label."""
    number = task["id"]
    chosen = task["data"]["old"] if number == 2 else labels[-1]
    control, value = ("drop", ["剔除"]) if number == 1 else ("new_label", [chosen])
    results = [
        {"id": "a", "from_name": control, "to_name": "told", "type": "choices", "value": {"choices": value}},
        {"id": "b", "from_name": "why", "to_name": "told", "type": "textarea", "value": {"text": ["看图"]}},
    ]
    return {
        "id": number,
        "completed_by": {"id": 7, "email": "wang@example.org"},
        "was_cancelled": False,
        "created_at": "2026-11-27T10:00:00.000000Z",
        "updated_at": "2026-11-27T11:00:00.000000Z",
        "result": results,
    }


class Me(BaseHTTPRequestHandler):
    """As much of Argilla's server as its client asks for when it is made."""

    def do_GET(self) -> None:
        moment = "2026-11-27T00:00:00"
        user = {"id": PERSON, "username": "wang", "first_name": "Wang", "role": "owner"}
        body = json.dumps({**user, "inserted_at": moment, "updated_at": moment, "version": "2.8.0"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
        pass


def argilla(folder: Path, answers: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Me)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    import argilla as rg
    from argilla._models import DatasetModel

    rg.Argilla(api_url=f"http://127.0.0.1:{server.server_address[1]}", api_key="key")
    settings = rg.Settings.from_json(folder / ".argilla" / "settings.json")
    settings.validate()
    DatasetModel(**json.loads((folder / ".argilla" / "dataset.json").read_text("utf-8")))
    options = list(settings.questions["label"].labels)
    rows = []
    for number, row in enumerate(json.loads((folder / "records.json").read_text("utf-8"))):
        record = rg.Record.from_dict(row)
        fields = {field.name: field for field in settings.fields}
        assert set(record.fields) <= fields.keys()
        assert {name for name, field in fields.items() if field.required} <= set(record.fields)
        for suggestion in record.suggestions:
            assert suggestion.value in options
        chosen = "__drop__" if number == 0 else row["metadata"]["old"] if number == 1 else options[-2]
        record.responses.add(rg.Response("label", chosen, user_id=PERSON, status="submitted"))
        record.responses.add(rg.Response("why", "看图", user_id=PERSON, status="submitted"))
        # The server sets the status when as many people have submitted as the settings ask for.
        rows.append({**record.to_dict(), "status": "completed"})
    answers.write_text(json.dumps(rows, ensure_ascii=False, default=str), "utf-8")


if __name__ == "__main__":
    {"label-studio": label_studio, "argilla": argilla}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
