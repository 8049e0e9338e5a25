"""Readers: records out of files, folders, hubs and other data sets."""

from datakit.core.registry import classes_of

__getattr__, __dir__ = classes_of(__name__)
