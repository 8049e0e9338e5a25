"""What answers to a build are scored by."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import AnswerContract
from datakit.core.errors import UserError
from datakit.evaluation.from_build import BuildSource
from tests.support.card_builds import ecom


def test_boxes_are_refused_and_never_scored_as_labels(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    contract = AnswerContract.of({"fields": ["boxes"]})
    draft.answers = ContractFormat.of_contracts([contract])
    with pytest.raises(UserError, match="`boxes` are not scored"):
        BuildSource(BuildFolder.open(draft.write())).target()
