"""Benchmarks: how good, how fast, how large, each figure beside its target; `python -m bench --help` lists them."""
