"""Every trainer again in 10 and in 100 epochs, ``nnUNetTrainerBoundary_10epochs`` and so on: for trying out."""

from __future__ import annotations

from nnunet_trainers import boundary, challenges, lesions, refine

#: In which a variant of a trainer differs from it: nothing but the number of epochs.
LENGTHS = (10, 100)
ROOMS = (boundary, challenges, lesions, refine)


def _short(trainer: type, epochs: int) -> type:
    """Return the variant, which can be pickled by its name here, as nnU-Net does for several GPUs."""
    body = {"__module__": __name__, "__doc__": f"`{trainer.__name__}` in {epochs} epochs.", "run_epochs": epochs}
    return type(f"{trainer.__name__}_{epochs}epochs", (trainer,), body)


_VARIANTS = [
    _short(getattr(module, name), epochs)
    for module in ROOMS
    for name in module.__all__ if not name.endswith("Demo")
    for epochs in LENGTHS
]  # fmt: skip
__all__ = [variant.__name__ for variant in _VARIANTS]
globals().update({variant.__name__: variant for variant in _VARIANTS})
