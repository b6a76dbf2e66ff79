"""Other systems beside this one, each in an environment of its own, on the same rows: `python -m benchmarks.peers`."""
