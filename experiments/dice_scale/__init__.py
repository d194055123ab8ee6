"""What is left of generalized Dice and its gradient on patches of real size."""
