"""Speed: ratios to peers in the same run, by pytest-benchmark. Evidence on training is in experiments/.

``pytest benchmarks`` measures what `cases` describes; ``python -m benchmarks.ratios`` turns its JSON into the tables of
docs/benchmarks.md and compares it with an earlier run. `gpu`, `call_path` and `precompute` are separate commands.
"""
