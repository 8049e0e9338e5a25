"""The words that say why a record does not come out of a step, and what helps: for the reference and readers.

A test holds that every word which the code uses stands here, and no other.
"""

from __future__ import annotations

from datakit.core.wording import later

REJECTED = {
    # read
    "answer_empty": "An answer of the dialogue is blank, or nan or null, so there is nothing to learn.",
    "answer_unwanted": "`label`, `kto_tag` or `desirable` is false: an example of what not to say (KTO).",
    "bad_csv": "The line breaks the rules of CSV: mostly an open quotation mark. Mend the line.",
    "bad_encoding": "Bytes that are not in the encoding of the rest of the file. Save the file as UTF-8.",
    "bad_json": "The line is no JSON; the column of the fault is named. Mend the line.",
    "control_characters": "The id, or the name of a picture, holds control characters. Rename it.",
    "duplicate_id": "An earlier record has this id. Make ids unique, or set `id: null`: rows get their own.",
    "id_rounded": "A spreadsheet has rounded the id (1.23E+18). Export the column as text.",
    "instruction_missing": "A row of the alpaca format asks nothing (blank, or nan, NULL, None, N/A).",
    "label_not_text": "The label is a list or an object.",
    "messages_format": "The turns are not in a form that the reader knows; the turn is named.",
    "messages_order": "Turns do not alternate, or the last is no answer.",
    "not_a_picture": "A file in the folder is no picture. Move it away.",
    "not_an_object": "The line or element is JSON, but no object with named values.",
    "objects_format": "The boxes are not in ms-swift's form (`ref`, `bbox`).",
    "output_missing": "A row of the alpaca format has no answer (blank, or nan, NULL, None, N/A).",
    "ragged_row": "A row has more or fewer values than the header has names.",
    "repeated_header": "The header stands again within the file: files were joined. Take the line out.",
    "tools_format": "`tools` is no list of functions, nor the JSON of one.",
    "text_not_text": "The text is a list or an object.",
    # pictures
    "image_empty": "The file has no bytes. Copy it again.",
    "image_missing": "There is no such file. Mend the path, or `image_root`, the folder that it starts from.",
    "image_no_access": "The file may not be read. Mend its permissions.",
    "image_not_a_path": "The value is no path, such as a web address. Download the pictures first.",
    "image_outside": "The path leaves its root. Set `image_root` to a folder above all pictures.",
    "image_over_memory": "Decoding the picture takes more than `run.worker_memory_mb`; the value that lets "
    "it in is told. This is not stored: with that value the next build tries it.",
    "image_path_is_folder": "The path is a folder.",
    "image_places": "The places `<image>` in the text are not as many as the pictures.",
    "image_ratio": "Longer than `max_ratio` allows: Qwen-VL's own resizing refuses more than 200.",
    "image_refused": "The endpoint refuses the picture; its words are told.",
    "image_too_large": "More pixels than a decompression bomb is suspected from (179 million).",
    "image_too_long": "The resizing of the training refuses a picture so long.",
    "image_too_small": "A side is below `min_side_px`.",
    "image_truncated": "The file ends before its picture does. Copy it again.",
    "image_unreadable": "Not a picture of a format that is read, or damaged.",
    "no_image": "The record has no picture, and `guard.image` has `require: true`; or it is asked of a model "
    "all of whose records had one.",
    # emitters: the record stays in the build, and other emitters write it
    "box_places": "The places `<bbox>` or `<ref-object>` are not as many as the boxes (emit.ms_swift).",
    "boxes_moved": "A chat has boxes or points in pixels, and the emitter or the trainer scales its picture "
    "down. Say what they are: `kept_boxes`.",
    "general_outside_train": "General data in another split than train.",
    "image_in_answer": "A picture stands in an answer or a call of a tool, where the format takes none.",
    "image_too_many_bytes": "A picture's file is larger than the format takes (OpenAI: 10 MB). Set "
    "`image_max_pixels`.",
    "images_too_many": "More pictures than the format takes in an example (OpenAI: 10), or than one where an "
    "answer's boxes do not say on which picture they are (render.grounding).",
    "messages_missing": "The record has no chat. Put render.chat before emitting.",
    "repeat_below_one": "`repeat` is below 1 or empty, so that no row would be written.",
    "split_unknown": "`split` is neither train nor val.",
    "tool_call_form": "A turn of tools is several calls, or none with a name and arguments, for which "
    "emit.messages has no place; emit.llamafactory and emit.ms_swift have.",
    # labels, prompts and answers
    "answer_holds_key": "The model's answer repeats the key that it was asked with. Neither is kept.",
    "answer_incomplete": "The answer needs a column that is empty for this record.",
    "answer_tokens": "The answer holds a token that breaks the trainer, such as `<|im_end|>`. Targets are "
    "never rewritten: mend the answer.",
    "answer_too_long": "A field is over its `max_chars`; `guard.reason` can have it written again.",
    "answer_unreadable": "The record's answer could not be read back without doubt, or a model's stored "
    "answer holds no JSON object as it was asked for.",
    "box_empty": "A box has no area: its right or lower edge is not behind the left or upper one.",
    "box_other_size": "The boxes were drawn on the picture at another size than its file has.",
    "box_outside": "Less than half of a box lies within its picture. It was drawn on another, or at another "
    "size; a box that hangs over the edge by less is clipped and counted.",
    "box_picture": "A box is on a picture that the record does not have. They are counted from 0.",
    "boxes_doubtful": "OCR is not sure of some texts of the picture, so that no answer could list every "
    "line, or every place of a name, and the step asks nothing else.",
    "boxes_missing": "The record has no box to ask about, or none with the text or the name that is needed.",
    "boxes_none_left": "Nothing on the picture can be asked about: it has no text, or each is less sure than "
    "`min_score` or what `leave_out` names.",
    "boxes_too_many": "An answer would have more boxes than `max_boxes`.",
    "boxes_unreadable": "The boxes are no list of four finite numbers each, or nothing says what the numbers "
    "are.",
    "findings_missing": "The findings state their label and nothing else (`names_label: false`).",
    "label_missing": "The record has no label. `allow_missing` lets it pass where it is to be predicted.",
    "label_unknown": "The label is not in the label file; the nearest is proposed. Add it, or an alias.",
    "personal_data": "A text holds personal data (`guard.personal_data` with `mode: reject`); the first is "
    "told, masked.",
    "number_unreadable": "The value is no number.",
    "prompt_missing": "The column that `guard.prompt_length` looks at is empty.",
    "prompt_too_long": "Over `max_chars` or `max_tokens`, after all that `shrink` names has given way.",
    "template_unbounded": "A value is too long for what the template does with it: cut it, `column[:2000]`.",
    # chosen
    "where": "The expression of `guard.where` is false of the record.",
    "where_null": "The expression of `guard.where` is neither true nor false: a value that it compares is "
    "missing or no number. `column IS NULL OR …` keeps such records.",
    # predictions that are no labels (curate.pseudo_labels, curate.split)
    "pseudo_known": later("A record with a label shows the same picture, so that a prediction adds nothing."),
    "pseudo_near_val": later(
        "A record whose label would be a prediction is like one of validation: the same "
        "picture, or nearly the same text. In training it would give the validation away."
    ),
    "pseudo_over_cap": later("`max_per_class` others of its predicted class are surer."),
    "pseudo_unknown": later(
        "There is no prediction of the record, none with a probability from 0 to 1, one of an "
        "unknown label, or one whose probabilities of all labels do not add up to 1."
    ),
    "pseudo_unsure": later("The prediction is not sure enough to stand for a label, or two voices differ."),
    # duplicates, reviews and reasons
    "duplicate": "The same picture, question and answer as an earlier record (`drop`).",
    "dropped_by_step": "A function that is a step (dk.step) did not give the record back.",
    "dropped_by_review": "A reviewer decided to drop the record (curate.overrides); who and why is told.",
    "label_conflict": "One question about one picture has different answers (`on_label_conflict: reject`).",
    "reason_contradicts": "The reason concludes another label than the record's.",
    "reason_concludes_first": "The reason names its label before any evidence, and in the answer it "
    "stands before the label.",
    "reason_declined": "The model would give another label than the record's, so there is no reason to learn "
    "(annotate.reason with `may_decline`).",
    "reason_language": "Too few of its letters are Chinese (`min_chinese`).",
    "reason_misquotes": "The reason quotes what does not stand in the record's OCR text (`quotes_in`).",
    "reason_missing": "The record has no reason.",
    "reason_opening": "Too many reasons of the label open with the same words (`max_equal_openings`).",
    "reason_repeated": "Another record has the same words, but for the label.",
    "reason_too_long": "Longer than `max_chars`.",
    "reason_too_short": "Shorter than `min_chars`.",
    "reason_too_similar": "Another reason is more alike than `max_similarity`.",
    # answers of models
    "banned_word": "Every try says a word that is `banned`.",
    "content_filter": "The provider's content filter withheld the answer.",
    "missing_word": "No try says a word that is `required`.",
    "referee_refused": "The referee let no try pass; its words are told.",
    "refused": "The model refused to answer.",
    "request_refused": "The endpoint refuses this record each time in the same words, which are told, while "
    "it answers others. `datakit cache forget` has it asked again.",
}
"""Stored with the record: the step is not tried, and nothing paid, again."""

NOT_STORED = frozenset({"image_over_memory"})
"""Rejected as well, but by a setting that is in no key: another value of it is to be tried at once."""

CHOSEN = frozenset(
    {
        "boxes_none_left",
        "dropped_by_review",
        "duplicate",
        "personal_data",
        "pseudo_known",
        "pseudo_near_val",
        "pseudo_over_cap",
        "pseudo_unknown",
        "pseudo_unsure",
        "where",
        "where_null",
    }
)
"""Dropped because the recipe, or a person, says so: counted and listed, but not against
`run.max_reject_rate`."""

RETRIED = {
    "account_refused": "The endpoint would not bill this record's call, while it answered others.",
    "address_refused": "The endpoint knew no such address for this record's call, while it answered others.",
    "answer_empty": "The model wrote nothing.",
    "answer_malformed": "The answer was no JSON as asked for, and neither was the repaired one.",
    "answer_truncated": "Cut off even at twice the room. Raise the step's `max_tokens`.",
    "batch_cancelled": "Somebody cancelled the batch.",
    "batch_expired": "The batch was not done within a day.",
    "batch_file_waits": "The question stands in a batch file that nobody has run yet.",
    "body_malformed": "The endpoint answered 200 with something that is no completion.",
    "budget_spent": "The budget is used up. Raise `run.budget_usd`.",
    "certificate": "The server's certificate is not trusted here. Set SSL_CERT_FILE to your authority's.",
    "connection_lost": "The connection broke, through every try.",
    "context_too_long": "Over the model's context. Shorten the template, or lower `llm.max_image_pixels`.",
    "images_off": "The server takes no pictures, or fewer. Start it so that it does (--limit-mm-per-prompt).",
    "line_failed": "The batch answered this line with an error.",
    "image_changed": "The picture was edited while it was asked about. Run again when nobody writes there.",
    "image_not_here": "A node of the Ray cluster cannot see the picture, nor can it be sent there.",
    "line_missing": "The batch ended without an answer to this line.",
    "model_refused": "The endpoint did not know the model for this record's call, while it answered others.",
    "not_answered": "The build was stopped before this record had its turn.",
    "proxy_refused": "The proxy refused the credentials for this record's call, while it let others pass.",
    "provider_stopped": "The endpoint refused key, account or model this once, while it answered others.",
    "key_refused": "The endpoint refused the key for this record's call, while it answered others.",
    "rate_limited": "The endpoint's limit held, through every try. Set `llm.max_requests_per_minute`.",
    "reply_too_large": "The server's reply has over 64 MiB, so it is no answer. Look at the server.",
    "request_too_large": "The request has more bytes than the endpoint takes. Lower `llm.max_image_pixels`.",
    "request_refused": "The endpoint refuses the request, for a reason that may pass; its words are told.",
    "rewrite_waits": "The reason waits for others of its round that were not answered.",
    "server_error": "The endpoint failed with 5xx, through every try.",
    "thinking_cut": "The model was still thinking at the end of its room. Raise `max_tokens`, or set "
    "`llm.thinking: disabled`.",
    "timed_out": "No answer within `llm.timeout_s`, through every try.",
    "unexpected_error": "A step raised an error of its own making; its words are told. Tell its author.",
    "unreachable": "No connection to the endpoint, through every try.",
    "worker_crashed": "Workers died again and again here, mostly of memory: `run.worker_memory_mb`.",
}
"""Not stored: the next run tries again. In rejects.jsonl their `state` is `retry`."""
