"""What scripts/bench.py runs: the table of benchmarks, the runner, the peers' environments, the page."""
