"""Records as CSV files, for people who look at data in a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from datakit.core.spreadsheets import text_cell
from datakit.core.step_context import StepContext
from datakit.emitting import PLACED, SPLITS, Artifact, Emitter, FinalRecords, record_batches, split_keys

Row = tuple[str, str | None, int]


class CsvFiles(Emitter):
    """`<name>_train.csv`, `_val`, `_general`: id, label, and how often a training record counts."""

    delimiter: str = ","
    """The sign between values."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images", "label")

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return PLACED

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
        for batch in record_batches(records, others=("label",)):
            keys = split_keys(batch)
            for (split, _, copies), id_, label in zip(keys, batch["id"], batch["label"], strict=True):
                rows[split].append((id_, label, copies))
        names = {split: f"{context.name}_{split}.csv" for split, mine in rows.items() if mine}
        return [self._file(folder / name, rows[split]) for split, name in names.items()]

    def _file(self, path: Path, rows: list[Row]) -> Artifact:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.delimiter)
            writer.writerow(("id", "label", "copies"))
            for id_, label, copies in rows:
                writer.writerow((text_cell(id_), label and text_cell(label), copies))
        return Artifact(path=path.name, kind="data", records=len(rows))
