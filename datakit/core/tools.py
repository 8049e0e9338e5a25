"""The old name of StepContext, for plug-ins of datakit 0.1. Goes with 0.3."""

from datakit.core.step_context import StepContext as Tools

__all__ = ["Tools"]
