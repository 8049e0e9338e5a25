"""What a record says of the personal data that was found in it."""

from __future__ import annotations

PERSONAL = "personal_data"
"""The column with the kinds that were found, and the word of a record that is rejected for it."""
LEFT_UNSEEN = "not looked at"
"""The note of a step: columns of prompts and answers in which nobody looked for any."""
WORDS = {
    "phone": "telephone number",
    "id_number": "identity number",
    "bank_card": "bank card",
    "courier": "courier number",
    "email": "e-mail address",
    "plate": "licence plate",
    "address": "address",
    "name": "name",
}
"""Kind -> what it is called on pages."""
