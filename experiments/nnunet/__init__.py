"""Trainer against trainer through nnU-Net's own commands, shortened to what a CPU does in minutes."""
