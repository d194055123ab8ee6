"""Per-patch against whole-volume distance maps: how far apart they are, and what a network learns."""
