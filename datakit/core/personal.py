"""What a record says of the personal data that was found in it."""

from __future__ import annotations

from datakit.core.wording import later

PERSONAL = "personal_data"
"""The column with the kinds that were found, and the word of a record that is rejected for it."""
LEFT_UNSEEN = "not looked at"
"""The note of a step: columns of prompts and answers in which nobody looked for any."""
WORDS = {
    "phone": later("telephone number"),
    "id_number": later("identity number"),
    "bank_card": later("bank card"),
    "courier": later("courier number"),
    "email": later("e-mail address"),
    "plate": later("licence plate"),
    "address": later("address"),
    "name": later("name"),
}
"""Kind -> what it is called on pages."""
