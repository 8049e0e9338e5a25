"""Data cards: what came out of a build, for the people who review it."""

from datakit.cards.current import write_current_card
from datakit.cards.write import write_card

__all__ = ["write_card", "write_current_card"]
