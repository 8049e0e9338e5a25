"""Guards: records pass or are rejected with a reason."""

from datakit.core.registry import classes_of

__getattr__, __dir__ = classes_of(__name__)
