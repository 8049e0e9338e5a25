"""The card shows clusters first, then the most suspect records."""

from __future__ import annotations

from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.noise import noise_section
from datakit.pages.blocks import Table, Text
from tests.support.card_builds import ecom


def test_clusters_and_suspects_stand_on_the_card(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    for rank, record in enumerate(draft.records, 1):
        record |= {"noise_rank": rank, "noise_probability": 0.01 * rank, "noise_label": "<b>another</b>"}
        record |= {"noise_label_probability": 0.9, "noise_cluster": "one→another 1" if rank > 3 else None}
    section = noise_section(BuildFolder.open(draft.write()))
    clusters, suspects = (block for block in section.blocks if isinstance(block, Table))
    assert clusters.rows[0][0] == "one→another 1"
    assert [row[0] for row in suspects.rows] == [1, 2, 3, 4, 5]
    assert suspects.rows[0][4] == "<b>another</b>"
    lead = section.blocks[0]
    assert isinstance(lead, Text)
    assert "Suspects: 5." in lead.text


def test_a_build_without_the_step_has_no_such_section(tmp_path: Path) -> None:
    assert noise_section(BuildFolder.open(ecom(tmp_path).write())).blocks == []
