"""Data cards: what came out of a build, for the people who review it."""
