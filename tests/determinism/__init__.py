"""Two runs of one seed, bit by bit."""
