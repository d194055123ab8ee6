"""What several experiments need: the journal of finished runs, training, tables, curves, real data, options."""
