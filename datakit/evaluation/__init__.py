"""Scores: answers joined with the truth, metrics, the mistakes that matter, and the ledger of versions."""
