"""The picture of the first page: a distance map, and what a network learns from it."""
