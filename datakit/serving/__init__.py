"""Serving: the plan of a vLLM server, its start, the classifier that asks it, and predictions over a set."""
