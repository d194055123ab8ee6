"""Paired evidence at convergence: the boundary term by share of the gradient against the region loss alone."""
