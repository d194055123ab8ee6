"""Hand-made faults: each breaks one function on purpose, and some test must turn red.

Here live only faults that a generic tool cannot express: a wrong axis, another patient's map, a step left out. Changed
operators and constants are mutmut's work (``[tool.mutmut]`` in pyproject.toml). A fault is anchored on a function, runs
in its place and may call it, so that the function's text may change freely. `registry.py` declares and applies them,
`run.py` runs them, and every other file is the table of one room.
"""
