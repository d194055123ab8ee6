"""The trainers that read the maps of whole volumes from disk."""

from __future__ import annotations

from nnunet_trainers.boundary import nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary
from nnunet_trainers.precomputed import PrecomputedMapsMixin

__all__ = ["nnUNetTrainerBoundaryPrecomputed", "nnUNetTrainerDiceCEBoundaryPrecomputed"]


class nnUNetTrainerBoundaryPrecomputed(PrecomputedMapsMixin, nnUNetTrainerBoundary):
    """`nnUNetTrainerBoundary` on the maps that ``monai-boundary precompute-maps`` wrote."""


class nnUNetTrainerDiceCEBoundaryPrecomputed(PrecomputedMapsMixin, nnUNetTrainerDiceCEBoundary):
    """`nnUNetTrainerDiceCEBoundary` on the maps that ``monai-boundary precompute-maps`` wrote."""
