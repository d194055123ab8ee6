"""Argument checks that several parts need, and what they have in common. Imports torch where tensors are looked at.

Every text names the argument, what it must be and what it got, and the remedy where that does not say it.
``TypeError`` means the wrong kind of thing, ``ValueError`` the wrong value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_boundary._labels import whole_numbers

if TYPE_CHECKING:
    import torch

# Neighbours of a voxel on 1, 2 and 3 axes, by connectivity from 1 on.
NEIGHBOURS = {1: (2,), 2: (4, 8), 3: (6, 18, 26)}


def check_choice(name: str, value: Any, options: Sequence[Any]) -> Any:
    """Return `value` when it is one of `options`, raise ``ValueError`` otherwise."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def check_number(name: str, value: Any, *, low: float = 0.0, strict: bool = True) -> float:
    """Return `value` as a finite float above `low` (at least `low` unless `strict`)."""
    if not is_integer(value) and not isinstance(value, (float, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number) or number < low or (strict and number == low):
        raise ValueError(f"{name} must be finite and {'>' if strict else '>='} {low:g}, got {value}")
    return number


def check_fraction(name: str, value: Any) -> float:
    """Return `value` as a float in [0, 1]."""
    number = check_number(name, value, strict=False)
    if number > 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")
    return number


def is_integer(value: Any) -> bool:
    """Whether `value` is an integer, Python's or NumPy's; a bool is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(name: str, value: Any, low: int = 1) -> int:
    """Return `value` as an integer of at least `low`."""
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer >= {low}, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value}")
    return int(value)


def check_spatial_ndim(name: str, shape: Sequence[int], channels: int = 0) -> int:
    """Return the number of spatial axes (1 to 3) of `shape`, none of them empty."""
    ndim = len(shape) - channels
    if not 1 <= ndim <= 3:
        layout = {0: "(*S)", 1: "(C, *S)", 2: "(B, C, *S)"}[channels]
        raise ValueError(f"{name} must be {layout} with 1 to 3 spatial axes, got shape {tuple(shape)}")
    if 0 in shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(shape)}")
    return ndim


def check_per_axis(name: str, value: Any, ndim: int, *, odd: bool = False) -> tuple[int, ...]:
    """Return `value` as one integer >= 0 (or odd and >= 1) per spatial axis; one integer stands for all."""
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * ndim
    if not all(map(is_integer, values)):
        kind = "an odd integer" if odd else "an integer"
        raise TypeError(f"{name} must be {kind} or one per spatial axis ({ndim}), got {value!r}")
    if len(values) == ndim and all(one >= 0 and (one % 2 or not odd) for one in values):
        return tuple(int(one) for one in values)
    if odd:
        raise ValueError(
            f"{name} must be odd and >= 1, one width or one per spatial axis ({ndim}), got {value!r}; "
            "an even window has no centre: take the next odd one"
        )
    raise ValueError(f"{name} must be >= 0, one value or one per spatial axis ({ndim}), got {value!r}")


def check_windows(theta0: Any, theta: Any) -> None:
    """Raise unless the windows of the boundary F1 loss are odd; how many axes there are shows in the call."""
    for name, window in (("theta0", theta0), ("theta", theta)):
        check_per_axis(name, window, len(window) if isinstance(window, (list, tuple)) else 1, odd=True)


def check_connectivity(connectivity: Any, ndim: int) -> int:
    """Return `connectivity`, the number of axes along which two neighbours may differ, 1 to `ndim`."""
    if not is_integer(connectivity):
        raise TypeError(f"connectivity must be an integer, got {type(connectivity).__name__}")
    if not 1 <= connectivity <= ndim:
        counts = ", ".join(f"{rank} for {count} neighbours" for rank, count in enumerate(NEIGHBOURS[ndim], start=1))
        raise ValueError(f"connectivity must be {counts} on {ndim} axes, got {connectivity}")
    return int(connectivity)


def check_slice_axis(axis: Any, ndim: int) -> int | None:
    """Return `axis` as index of a spatial axis of several, or ``None``; negative ones count from the end."""
    if axis is None:
        return None
    if not is_integer(axis):
        raise TypeError(f"slice_axis must be None or an integer, got {type(axis).__name__}")
    if ndim < 2 or not -ndim <= axis < ndim:
        raise ValueError(
            f"slice_axis must be one of {ndim} spatial axes (two at least), got {axis}; pass None for none"
        )
    return int(axis) % ndim


def check_spacing(spacing: Any, ndim: int) -> tuple[float, ...]:
    """Return `spacing` as one float per spatial axis; ``None`` means 1 mm everywhere."""
    if spacing is None:
        return (1.0,) * ndim
    try:
        if isinstance(spacing, str):  # iterates, over its letters
            raise TypeError
        values = tuple(float(value) for value in spacing)
    except TypeError:  # also a number, a 0-d array, a nested list
        raise TypeError(
            f"spacing must be a sequence with one value per spatial axis ({ndim}), got {spacing!r}; "
            f"for cubic voxels pass ({spacing!r},) * {ndim}"
        ) from None
    if len(values) != ndim or not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"spacing must hold one finite value > 0 per spatial axis ({ndim}), got {values}")
    return values


def as_numpy(name: str, array: Any) -> np.ndarray:
    """Return an array or tensor, on any device, as NumPy array."""
    import torch

    if not isinstance(array, torch.Tensor):
        return np.asarray(array)
    check_dense(name, array)
    array = (
        (array if array.device.type == "cpu" else plain_tensor(name, array).cpu()).as_subclass(torch.Tensor).detach()
    )
    values: np.ndarray = (array.float() if array.dtype == torch.bfloat16 else array).numpy()  # NumPy has no bfloat16
    return values


def check_array(name: str, array: Any) -> None:
    """Raise ``TypeError`` unless `array` is an array or a tensor, of which the result then is."""
    import torch

    if not isinstance(array, (np.ndarray, torch.Tensor)):
        raise TypeError(f"{name} must be an array or a tensor, got {type(array).__name__}; call numpy.asarray")


def check_dense(name: str, tensor: torch.Tensor) -> None:
    """Raise ``TypeError`` for a sparse tensor, of which no kernel reads the values."""
    import torch

    if tensor.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {tensor.layout}; call .to_dense()")


def plain_tensor(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without its subclass and its gradient, on its device, which must hold values."""
    import torch

    if tensor.device.type == "meta":
        raise ValueError(f"{name} must hold values, got a tensor on the meta device; make it on the CPU or a GPU")
    check_dense(name, tensor)
    plain = tensor.detach()
    return plain if torch.compiler.is_compiling() else plain.as_subclass(torch.Tensor)  # cannot be traced


def check_mask(name: str, mask: Any) -> np.ndarray:
    """Return `mask` as a bool array with 1 to 3 axes; 0/1 integers are taken for bool."""
    array = np.asarray(mask)
    check_spatial_ndim(name, array.shape)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be bool (or integers 0 and 1), got dtype {array.dtype}; threshold it first")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 1:
        raise ValueError(f"{name} must be bool (or integers 0 and 1), got values in [{low}, {high}]")
    return array.astype(bool)


def check_onehot(channels: np.ndarray) -> np.ndarray:
    """Return one-hot or overlapping labels `(C, *S)` as bool; image readers give them as floats."""
    if channels.dtype.kind == "f":
        whole = whole_numbers(channels)
        if whole is None:
            raise ValueError("one-hot labels must hold 0 and 1, got fractional values; threshold them first")
        channels = whole.astype(np.int64)
    return np.stack([check_mask("labels", channel) for channel in channels])


def counted_channels(labels: Any, include_background: bool) -> Any:
    """Return the channels of one-hot labels that are asked for, one at least."""
    channels = labels if include_background else labels[1:]
    if not len(channels):
        raise ValueError("labels must have a channel besides the background, got 1; pass num_classes for a label map")
    return channels


def check_onehot_ignore(num_classes: int | None, ignore_index: int | None) -> None:
    """Raise where a value to ignore is no integer, or is given for one-hot labels, which have no place for it."""
    check_ignore_index(ignore_index)
    if num_classes is None and ignore_index is not None:
        raise ValueError(
            f"ignore_index must be None for one-hot input, got {ignore_index!r}; pass labels and num_classes"
        )


def check_same_shape(name: str, array: Any, other_name: str, other: Any) -> None:
    """Raise ``ValueError`` unless two arrays or tensors have one shape."""
    if tuple(array.shape) != tuple(other.shape):
        raise ValueError(
            f"{name} and {other_name} must have the same shape, got {tuple(array.shape)} and {tuple(other.shape)}"
        )


def check_mask_pair(pred: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return `pred` and `target`, arrays or tensors of one shape, as `check_mask` does."""
    first, second = check_mask("pred", as_numpy("pred", pred)), check_mask("target", as_numpy("target", target))
    check_same_shape("pred", first, "target", second)
    return first, second


def check_integers(name: str, labels: np.ndarray) -> np.ndarray:
    """Return labels as integers; floats are accepted when every value is one, because image readers give floats.

    Bool comes back as bytes: numpy compares it with a number ten times more slowly.
    """
    if labels.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold integers, got dtype {labels.dtype}")
    if labels.dtype.kind != "f":
        return labels.view(np.uint8) if labels.dtype == np.bool_ else labels
    whole = whole_numbers(labels)
    if whole is None:
        raise ValueError(
            f"{name} must hold integers, got {labels.dtype} with fractional or non-finite values; "
            "resample label maps with mode='nearest'"
        )
    return whole.astype(np.int64)


def check_labels(labels: np.ndarray, num_classes: int, ignore_index: int | None, name: str = "labels") -> np.ndarray:
    """Return `labels` as integers in [0, num_classes), `ignore_index` excepted; see `check_integers`."""
    check_ignore_index(ignore_index)
    labels = check_integers(name, labels)
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < num_classes:  # the usual case costs two reductions and no mask
        return labels
    wrong = (labels < 0) | (labels >= num_classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if wrong.any():
        values = sorted(np.unique(labels[wrong]).tolist())[:5]
        raise ValueError(
            f"{name} must lie in [0, {num_classes - 1}] or equal ignore_index={ignore_index}, got {values} at "
            f"{int(wrong.sum())} voxels; check the label map, or pass num_classes={max(high, 0) + 1} or ignore_index"
        )
    return labels


def check_ids(name: str, ids: np.ndarray) -> np.ndarray:
    """Return instance ids as integers >= 0 of any width, with 1 to 3 axes.

    Floats are accepted when every value is an integer that the type can tell from its neighbours.
    """
    check_spatial_ndim(name, ids.shape)
    if ids.dtype.kind == "f":
        largest = 2 ** (np.finfo(ids.dtype).nmant + 1)
        whole = whole_numbers(ids)
        if whole is None or np.abs(whole).max() >= largest:
            raise ValueError(
                f"{name} must hold ids, integers >= 0, got {ids.dtype} with values that are fractional, not finite or "
                f">= {largest}, where neighbouring ids are the same number; keep ids in an integer type"
            )
        ids = whole.astype(np.int64)
    elif ids.dtype == np.bool_:
        ids = ids.view(np.uint8)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold ids, integers >= 0, got dtype {ids.dtype}")
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise ValueError(
            f"{name} must hold ids >= 0, got {int(ids.min())}; ids beyond the signed range come out negative: keep "
            "them unsigned, and give voxels without object the id 0"
        )
    return ids


def check_activation(sigmoid: bool, softmax: bool, other_act: Callable | None) -> None:
    """Check MONAI's three exclusive activation arguments, with MONAI's texts."""
    if other_act is not None and not callable(other_act):
        raise TypeError(f"other_act must be None or callable but is {type(other_act).__name__}.")
    if int(sigmoid) + int(softmax) + int(other_act is not None) > 1:
        raise ValueError("Incompatible values: more than 1 of [sigmoid=True, softmax=True, other_act is not None].")


def check_ignore_index(ignore_index: Any) -> None:
    """Raise ``TypeError`` unless `ignore_index` is ``None`` or an integer."""
    if ignore_index is not None and not is_integer(ignore_index):
        raise TypeError(f"ignore_index must be None or an integer, one label that does not count, got {ignore_index!r}")
