"""Per-patch against whole-volume distance maps: how far apart they are, what each costs, what a network learns."""
