"""What an emitter is written with: records on their way out, one file for each split, images, files of rows.

An emitter goes through the records some at a time, so that their texts are never all in memory. A record that
its files have no place for joins `context.left_out`: the build counts it, and other emitters may write it.

    def write(self, records, folder, context):
        images = ImageFiles.into(folder / "images", "copy", None, context)
        files = SplitFiles(folder, context.name, lines=True)
        try:
            for batch in record_batches(records, others=("label",)):
                fit = fitting_chats(batch, "my trainer", context.left_out)
                placed = with_places(*images.place_for(fit, context.left_out))
                files.append(as_rows(placed), split_keys(placed))
            return files.close()
        finally:
            files.release()

>>> import json, tempfile
>>> from pathlib import Path
>>> from datakit.testing import HeldRecords, example_records
>>> folder = Path(tempfile.mkdtemp())
>>> files = SplitFiles(folder, "shop", lines=True)
>>> for batch in record_batches(HeldRecords(example_records()), others=("label",)):
...     batch = fitting_chats(batch, "my trainer", [])
...     rows = [json.dumps({"label": label}).encode() for label in batch["label"]]
...     files.append(rows, split_keys(batch))
>>> [(artifact.path, artifact.records) for artifact in files.close()]
[('shop_train.jsonl', 9), ('shop_val.jsonl', 2), ('shop_val_text.jsonl', 1)]
"""

from datakit.core.record import GENERAL as GENERAL
from datakit.core.record import TRAIN as TRAIN
from datakit.core.record import VAL as VAL
from datakit.core.transform import EVERY as EVERY
from datakit.core.transform import Artifact as Artifact
from datakit.core.transform import Emitter as Emitter
from datakit.core.transform import FinalRecords as FinalRecords
from datakit.emit._images import How as ImageHow
from datakit.emit._images import ImageFiles as ImageFiles
from datakit.emit._json_rows import json_rows as json_rows
from datakit.emit._records import CHOSEN as EVERY_EMITTER_READS
from datakit.emit._records import PLACED as PLACED
from datakit.emit._records import SPLITS as SPLITS
from datakit.emit._records import batches as record_batches
from datakit.emit._records import check as check_chats
from datakit.emit._records import factored_batches as factored_batches
from datakit.emit._records import fitting as fitting_chats
from datakit.emit._records import nothing_to_train as nothing_to_train
from datakit.emit._records import split_keys as split_keys
from datakit.emit._records import with_places as with_places
from datakit.emit._row_file import RowFile as RowFile
from datakit.emit._split_files import SplitFiles as SplitFiles

__all__ = [
    "EVERY",
    "EVERY_EMITTER_READS",
    "GENERAL",
    "PLACED",
    "SPLITS",
    "TRAIN",
    "VAL",
    "Artifact",
    "Emitter",
    "FinalRecords",
    "ImageFiles",
    "ImageHow",
    "RowFile",
    "SplitFiles",
    "check_chats",
    "factored_batches",
    "fitting_chats",
    "json_rows",
    "nothing_to_train",
    "record_batches",
    "split_keys",
    "with_places",
]
