"""Sentences for a label file, each of which a person accepts or not, and the file with them written in."""
