"""What may happen to a build, one scenario a file; run by scripts/chaos.py."""
