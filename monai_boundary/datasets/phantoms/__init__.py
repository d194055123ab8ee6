"""Synthetic images with known truth: brain lesions, buildings from above, cell membranes.

They stand in for data that may not be shipped, in tests, tutorials and experiments. Each file draws one kind: a
function that makes one phantom from a seed and, where whole sets are trained on, a class that gives MONAI-style items.
The same arguments give the same phantom. Real data are read elsewhere in `monai_boundary.datasets`; nothing here
imports torch or MONAI.
"""
