"""Every kind of finding: its severity, what it means, what to do.

An error stops the training, or takes records out of it. A warning is damage that the trainer does without a
word. A note says what the check could not see, or what costs time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Code(NamedTuple):
    """What all findings of one kind have in common."""

    severity: Literal["error", "warning", "note"]
    title: str
    remedy: str


_TAGS = "role_tag, content_tag, user_tag, assistant_tag, observation_tag, function_tag, system_tag"

CODES: dict[str, Code] = {
    # the index of data sets
    "index_missing": Code(
        "error", "There is no readable dataset_info.json", "Name its folder: --dataset-dir."
    ),
    "index_encoding": Code(
        "warning",
        "dataset_info.json is read in the machine's own encoding",
        "Keep the file ASCII: write other characters as \\uXXXX.",
    ),
    "data_set_undefined": Code("error", "A data set is not in dataset_info.json", "Mend the name."),
    "data_set_twice": Code(
        "warning", "A data set named twice is used once", "Weight records inside the data set instead."
    ),
    "data_set_remote": Code(
        "note", "A data set lies elsewhere and is not checked", "Download it, and name its file."
    ),
    "data_set_script": Code(
        "warning",
        "A data set is made by a loading script, which `datasets` 4.0 and later refuse",
        "Run the script where it still runs, save the rows as JSON, and name that file.",
    ),
    "entry_wrong": Code("error", "An entry of dataset_info.json cannot be loaded", "Mend the entry."),
    "entry_unknown_key": Code(
        "warning", "A key of dataset_info.json is ignored", "Mend the spelling, or take the key out."
    ),
    "columns_partial": Code(
        "warning",
        "Columns that `columns` does not name are ignored",
        "Name every column that the rows have: with `columns` given, the defaults no longer hold.",
    ),
    "tags_partial": Code(
        "note",
        "Turns whose tag is not given count as unknown, and their rows are dropped",
        f"Give all seven tags or none: {_TAGS}.",
    ),
    "formatting_openai": Code(
        "warning",
        '`formatting: openai` adds "detailed thinking off" to every system turn',
        "Use `formatting: sharegpt` with all seven `tags`.",
    ),
    "num_samples": Code(
        "warning",
        "`num_samples` draws at random without a seed, and repeats rows beyond the size",
        "Take it out and sample when the data set is made.",
    ),
    # files and columns
    "file_missing": Code("error", "A data file is missing", "Mend `file_name`, or make the file."),
    "file_encoding": Code(
        "error", "A data file is not plain UTF-8", "Save it as UTF-8 without a byte-order mark."
    ),
    "bad_json": Code("error", "A data file is not JSON", "Mend the file there."),
    "no_rows": Code("error", "A data set has no rows", "Fill it, or take its name out of the configuration."),
    "row_not_object": Code("error", "A row is no object", "Each row is an object with named columns."),
    "mixed_column": Code(
        "error",
        "A column changes its type, and the whole file fails to load",
        "Give the column one type in all rows (null is allowed).",
    ),
    "null_before_value": Code(
        "error",
        "A column is empty for so long that later values do not fit it",
        "Put a row with a value first in the file, and sets with pictures first in `dataset`.",
    ),
    "column_missing": Code(
        "error", "A named column stands in no row", "Mend `columns` in dataset_info.json."
    ),
    "tags_unmatched": Code(
        "error",
        "No turn has the key that a tag names, and the training stops",
        "Name the keys of the turns in `tags` of dataset_info.json: role_tag and content_tag.",
    ),
    # dialogues
    "no_messages": Code("error", "A row without a dialogue is dropped", "Take the row out, or mend it."),
    "role_order": Code(
        "error",
        "A row whose roles are unknown or out of order is dropped",
        "User and assistant take turns, the user first; one system turn may stand before them.",
    ),
    "turn_count": Code(
        "error",
        "A row that does not end with the assistant is dropped",
        "Add the answer, or take the turn out.",
    ),
    "not_text": Code("error", "A text is something else, and the training stops", "Make it a string."),
    "answer_not_text": Code(
        "error", "A row whose answer is no string is dropped", "Make the answer a string."
    ),
    "ranked": Code(
        "error",
        "This is preference data, with ranked answers, which this stage does not take",
        "Use `stage: dpo` or `rm`, or another set.",
    ),
    "not_ranked": Code(
        "error",
        "The stage takes preference data alone, and the training stops",
        "Give the entry `ranking: true`, `chosen` and `rejected`; or use `stage: sft`.",
    ),
    "marked": Code(
        "error",
        "This is preference data (KTO): supervised training drops rows with a marked answer",
        "Use `stage: kto`; or take out the unwanted answers, and `kto_tag` of the entry.",
    ),
    "not_marked": Code(
        "error",
        "`stage: kto` takes marked answers alone, and drops every other row",
        "Name their column as `kto_tag`; or use `stage: sft`.",
    ),
    "preference_ignored": Code(
        "warning",
        "This is preference data, of which supervised training takes neither answer that is compared",
        "Use `stage: dpo` with `ranking: true`; or write the answer to learn into the dialogue.",
    ),
    "marks_ignored": Code(
        "warning",
        "This is preference data, of which supervised training looks at no mark",
        "Take the unwanted answers out; or use `stage: kto`, its `kto_tag` true or false, or `stage: dpo`.",
    ),
    "empty_answer": Code(
        "warning",
        "An empty answer teaches the model to say nothing",
        "Take the row out, or write its answer.",
    ),
    "control_token": Code(
        "warning",
        "A control token in a text ends or opens a turn",
        "Escape it when the text is made, for example with a space after `<`.",
    ),
    "pad_token": Code(
        "error",
        "A picture's own token in a text stops the training at some later step",
        "Take `<|image_pad|>` and `<|video_pad|>` out of the texts.",
    ),
    "turn_number": Code(
        "warning",
        "`{{idx}}` in a text is replaced by the number of the turn",
        "Write it another way, for example `{{ idx }}`.",
    ),
    "image_in_system": Code(
        "warning", "`<image>` in the system turn stays text", "Move it into the user's turn."
    ),
    # pictures
    "picture_count": Code(
        "error",
        "The `<image>` places of a row do not match its pictures, and the training stops",
        "One `<image>` in the turns for each picture; a literal `<image>` in a text must be escaped.",
    ),
    "media_place": Code(
        "error",
        "The `<video>` or `<audio>` places of a row do not match its files, and the training stops",
        "One place in the turns for each file; a literal `<video>` or `<audio>` in a text must be escaped.",
    ),
    "media_missing": Code("error", "A video or a sound is missing", "Mend the path, or `media_dir`."),
    "media_broken": Code(
        "error", "A video or a sound cannot be opened", "Save it anew, or take the row out."
    ),
    "media_unchecked": Code(
        "warning",
        "Rows with videos or sound were not counted: nobody knows whether `cutoff_len` cuts them",
        "Try them with the trainer; no figure and no proposal here holds for them.",
    ),
    "no_pictures": Code(
        "error",
        "A vision-language model would be trained on rows of which none has a picture",
        "Name the column of the pictures: `image:` at the reader, `images` in dataset_info.json's `columns`. "
        "Or say that text is meant: `images: none` at the reader, --text-only here.",
    ),
    "pictures_without_column": Code(
        "error",
        "Rows have pictures in a column that `columns` does not name",
        'Add `"images"` to `columns` in dataset_info.json.',
    ),
    "picture_missing": Code("error", "A picture is missing", "Mend the path, or `media_dir`."),
    "picture_broken": Code("error", "A picture cannot be opened", "Save it anew, or take the row out."),
    "picture_unfinished": Code(
        "warning",
        "A picture file lacks its end, so it may be cut short",
        "`datakit check --decode` decodes every picture and tells for sure.",
    ),
    "picture_turned": Code(
        "warning",
        "A picture is turned by its EXIF data, which the trainer ignores: it sees it lying",
        "Save it upright; emit.llamafactory does.",
    ),
    "picture_format": Code(
        "note", "A picture of a rare format was not counted", "Save it as JPEG, PNG or WebP."
    ),
    "picture_long": Code(
        "warning",
        "A picture of an aspect over 200 is squeezed in training and refused by the server",
        "Cut it into pieces.",
    ),
    "picture_vanishes": Code("error", "A picture shrinks to nothing", "Raise `image_max_pixels`, or cut it."),
    "picture_absolute": Code(
        "note",
        "Absolute picture paths: the data set works on this machine only",
        "Write paths relative to `media_dir`.",
    ),
    # length
    "image_cut": Code(
        "error",
        "`cutoff_len` cuts picture tokens, and the training stops at that row",
        "Raise `cutoff_len` or lower `image_max_pixels`, see the proposal.",
    ),
    "answer_cut": Code(
        "warning",
        "`cutoff_len` cuts answers: the model learns to stop nowhere",
        "Raise `cutoff_len` or lower `image_max_pixels`, see the proposal.",
    ),
    "prompt_cut": Code(
        "warning",
        "`cutoff_len` cuts the end of prompts",
        "Raise `cutoff_len` or lower `image_max_pixels`, see the proposal.",
    ),
    "turns_lost": Code(
        "warning", "`cutoff_len` drops whole turns", "Raise `cutoff_len`, or split the dialogue."
    ),
    "tokens_uncounted": Code(
        "note",
        "Tokens were not counted",
        "Known templates: qwen2_vl, qwen3_vl, qwen3_vl_nothink, qwen, qwen3, qwen3_nothink.",
    ),
    # the configuration
    "setting_unknown": Code("error", "The trainer does not know a key and stops", "Mend the spelling."),
    "setting_type": Code("error", "A value has the wrong type", "Mend the value."),
    "setting_misread": Code(
        "warning", "A key does something else than its name says in other tools", "Use the key that is meant."
    ),
    "setting_deprecated": Code("note", "A key is on its way out", "Use its successor."),
    "setting_clash": Code("error", "Settings that exclude each other", "Drop one of them."),
    "setting_file": Code("error", "A file that the configuration names is missing", "Mend the path."),
    "setting_missing": Code("error", "A setting is missing", "Add it."),
    "best_unsaved": Code(
        "warning",
        "Steps are evaluated that are not saved: the best one has no checkpoint",
        "Give `save_steps` and `eval_steps` one number.",
    ),
    "never_fires": Code(
        "warning", "A setting never takes effect", "Lower it below the number of steps, or take it out."
    ),
    "split_leaks": Code(
        "warning",
        "`val_size` splits rows at random: repeated records end up on both sides",
        "Split before (curate.split) and give `eval_dataset`.",
    ),
    "stale_cache": Code(
        "warning", "An older state of the data may be used", "Take the key out, or name a new folder."
    ),
    "mixing": Code("warning", "Interleaving repeats or drops rows", "Use `mix_strategy: concat`."),
    "quantised": Code(
        "error", "Quantisation does not fit the rest", "Quantise after merging, from full weights."
    ),
    "quantised_base": Code(
        "note",
        "Trained on a quantised base: the export must load the base unquantised",
        "Leave `quantization_bit` out of the export's configuration.",
    ),
    "stage_unchecked": Code(
        "note",
        "Only supervised training is checked row by row",
        "The rest of this report holds for any stage.",
    ),
    "template_absent": Code(
        "note",
        "Without `template` the trainer makes one of the tokenizer's own, which takes texts alone",
        "Name the template of the model's family; then tokens are counted too.",
    ),
    "no_data_set": Code(
        "note",
        "The configuration names no data set, so there are no rows to check",
        "Name one: --dataset a,b",
    ),
    "not_training": Code(
        "note",
        "The file is none of LLaMA-Factory's own, so nothing in it was checked",
        "Name the configuration of the training.",
    ),
    "model_misspelt": Code(
        "warning", "The model's name looks misspelt", "Mend it; the hub refuses names that it does not have."
    ),
    "template_unknown": Code("error", "The trainer has no such template", "Mend the name."),
    "template_family": Code(
        "error", "Template and model do not belong together", "Use the model's template."
    ),
    "template_blind": Code(
        "error",
        "The template does not take such pictures, videos or sound, and the training stops",
        "Use the template of the model's family (of Qwen's, `qwen2_omni` and `qwen3_omni` take sound).",
    ),
    "template_thinks": Code(
        "warning",
        "`qwen3_vl` puts an empty thought before each answer",
        "Use `qwen3_vl_nothink` for a model that does not think.",
    ),
    "packing": Code(
        "warning",
        "`packing` lets records in one sequence see each other",
        "Use `neat_packing`, or leave both out.",
    ),
    "vision_frozen": Code(
        "note",
        "Full training with a frozen vision tower trains the language model alone (the default)",
        "Set `freeze_vision_tower: false` to train it too.",
    ),
}
