"""Annotators: columns that cost time or money, through the result store."""

from datakit.core.registry import classes_of

__getattr__, __dir__ = classes_of(__name__)
