"""Balance between classes."""

from datakit.core.registry import classes_of

__getattr__, __dir__ = classes_of(__name__)
