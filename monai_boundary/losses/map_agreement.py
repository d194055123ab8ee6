"""Whether the first distance map that a loss is given is the map it expects, and belongs to the label.

Two mistakes train silently otherwise: a map of other settings, on which the same alpha weighs up to 100 times as much,
and a map that did not move with its label. Looking at values waits for the device, so it is done until one was
large enough to be judged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from collections.abc import Set as AbstractSet

import torch

from monai_boundary.kernels.distance import CLIPPED, PUBLISHED, ROBUST, DistanceMapOptions
from monai_boundary.kernels.pooling import box_max_pool, box_min_pool
from monai_boundary.losses.values import counted_mask, label_numbers
from monai_boundary.transforms.distance_map import recorded_numbers, recorded_options

__all__ = [
    "FirstMapCheck", "MapMismatchWarning", "check_signs", "compare_numbers", "compare_options", "label_masks"
]  # fmt: skip

#: Share of the voxels that may disagree. Of 4,032 maps that rotations, zooms and Spacingd had resampled, the worst had
#: 2 % (single voxels, twice resampled); where label and map did not belong together the median was 60 to 100 %.
_TOLERATED = 0.05
#: Foreground voxels of a class from which it is judged: of 2,400 maps, zooms had lost the inside of 8, all of 1 to 6.
_FEWEST = 10
#: Batches that are looked at while a class has fewer.
_LOOKS = 100
#: Voxels that label (nearest) and map (linear) may be apart where both were resampled.
_REACH = 2

_PRESETS = {ROBUST: "preset='robust'", CLIPPED: "preset='clipped'", PUBLISHED: "preset='published'"}

#: Masks `(B, C, *S)` of the label for the channels of the map; the voxels that count, `(B, 1, *S)` or `(B, C, *S)`.
Masks = tuple[torch.Tensor, torch.Tensor | None]


class MapMismatchWarning(UserWarning):
    """A distance map, target boundary or seeds that a loss was given are not what it expects."""


class FirstMapCheck:
    """Compares the settings of the first map, and for each channel the signs of the first one with 10 voxels inside.

    Training and validation are looked at each for itself: a map that an augmentation left behind is in one alone.
    Looking waits for the device, so it ends once every channel was judged, or after 100 looks.
    """

    def __init__(self) -> None:
        self.compared = False
        self.looks = {True: _LOOKS, False: _LOOKS}  # that are left, with gradients and without
        self.judged: dict[bool, set[int]] = {True: set(), False: set()}

    def __call__(
        self,
        distance_map: torch.Tensor,
        expected: DistanceMapOptions,
        masks: Callable[[], Masks | None],
        made_with: DistanceMapOptions | None = None,
    ) -> None:
        """Check a map unless that was done.

        Args:
            distance_map: Float `(B, C, *S)`.
            expected: Settings that the loss expects.
            masks: Makes the masks of the label; ``None``: there is none.
            made_with: Settings of a map that does not record them.

        Warns:
            MapMismatchWarning: The map has other settings than those expected, or was padded with zeros.

        Raises:
            ValueError: The map is positive inside of the label.
        """
        training = torch.is_grad_enabled()
        if (self.compared and not self.looks[training]) or not _values_can_be_read():
            return
        known = recorded_options(distance_map) if made_with is None else {made_with}
        if not self.compared:
            self.compared = True
            compare_options(known, expected)
        label = masks() if self.looks[training] else None
        if label is not None:
            judged = self.judged[training]
            options = next(iter(known)) if len(known) == 1 else expected
            judged |= check_signs(distance_map, *label, options, judged)
            done = len(judged) == distance_map.shape[1]
            self.looks[training] = 0 if done else self.looks[training] - 1


def label_masks(target: object, logits: torch.Tensor, first: int, ignore_index: int | None) -> Masks | None:
    """Return the masks of the channels from `first` on of a label map or of one-hot channels.

    What a loss does not have to read may be anything: ``None`` is returned for a target that is no label of `logits`.
    """
    if not isinstance(target, torch.Tensor) or target.device != logits.device:
        return None
    target = target.unsqueeze(1) if target.ndim == logits.ndim - 1 else target
    channels = logits.shape[1]
    if target.ndim != logits.ndim or target.shape[2:] != logits.shape[2:] or target.shape[1] not in (1, channels):
        return None
    target = label_numbers(target.detach().as_subclass(torch.Tensor))
    counted = counted_mask(target, ignore_index)
    valid = torch.ones_like(target, dtype=torch.bool) if counted is None else counted
    if target.shape[1] == channels:
        return target[:, first:] > 0.5, valid[:, first:]
    classes = torch.arange(first, channels, device=target.device).view(1, -1, *[1] * (target.ndim - 2))
    return target == classes, valid & (target >= 0) & (target < channels)


def compare_options(recorded: set[DistanceMapOptions], expected: DistanceMapOptions) -> None:
    """Warn where maps were made with other settings than a loss expects."""
    for found in recorded - {expected}:
        wanted = vars(expected)
        differences = ", ".join(
            f"{name}={value!r} and not {wanted[name]!r}" for name, value in vars(found).items() if value != wanted[name]
        )
        settings = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
        for_transform = _PRESETS.get(expected, f"preset=None, {settings}")
        for_loss = _PRESETS.get(found, f"options={found!r}")
        warnings.warn(
            f"distance_map was made with other settings than the loss expects, {differences}: the same alpha weighs "
            f"it otherwise; pass {for_transform} to SignedDistanceMapd and empty its cache, or {for_loss} to the loss",
            MapMismatchWarning,
            stacklevel=4,
        )


def compare_numbers(name: str, made: object, key: str, expected: tuple[int, ...], settings: str) -> None:
    """Warn where a target was made with other settings than a loss expects.

    Args:
        name: Of the target.
        made: Target or batch of targets.
        key: Of its record, see `record_numbers`.
        expected: What the loss has.
        settings: What the numbers are.
    """
    for found in recorded_numbers(made, key) - {expected}:
        warnings.warn(
            f"{name} was made with {settings} {found}, and the loss has {expected}: the two do not belong together; "
            f"give transform and loss the same {settings}",
            MapMismatchWarning,
            stacklevel=4,
        )


@torch.no_grad()
def check_signs(
    distance_map: torch.Tensor,
    masks: torch.Tensor,
    valid: torch.Tensor | None,
    options: DistanceMapOptions,
    judged: AbstractSet[int] = frozenset(),
) -> set[int]:
    """Compare the sign of a map with the label in the channels that have enough foreground, and return these.

    A foreground voxel is wrong where the map is positive at all voxels around it, by more than the largest step between
    two neighbours outside: resampling moves the contour by less, and normalised maps have no unit to say how far.
    Outside, the map must not be exactly 0, which the padding of a crop or a rotation is. Where voxels do not count it
    must be 0, or it was made from a label in which they did.

    Args:
        distance_map: Float `(B, C, *S)`.
        masks: Bool `(B, C, *S)`, the label's.
        valid: Bool `(B, 1, *S)` or `(B, C, *S)` of the voxels that count, ``None`` for all.
        options: Settings that the map was made with.
        judged: Channels that are left out.

    Raises:
        ValueError: In some channel with 10 voxels of foreground or more, over 5 % of it is wrong.
    """
    counted = torch.ones_like(masks[:, :1]) if valid is None else valid
    sizes = (masks & counted).transpose(0, 1).flatten(1).sum(1).tolist()  # a wait
    channels = [index for index, size in enumerate(sizes) if size >= _FEWEST and index not in judged]
    if not channels:
        return set()
    maps, masks = distance_map.detach().as_subclass(torch.Tensor)[:, channels].float(), masks[:, channels]
    counted = counted if counted.shape[1] == 1 else counted[:, channels]
    inside, outside = (masks & counted).flatten(2), (~masks & counted).flatten(2)
    allowed = _largest_step(maps).clamp(min=_largest_inside(options)).unsqueeze(-1)
    wrong = (inside & (box_min_pool(maps, 2 * _REACH + 1).flatten(2) > allowed)).sum((0, 2))
    values = maps.flatten(2)
    # Beside a thin object, a map of the wrong sign is negative too: nothing inside is, and most of the rest is.
    negative_outside = 2 * (outside & (values < 0)).sum((0, 2)) > outside.sum((0, 2))
    inverted = negative_outside & ~(inside & (values < 0)).any(2).any(0)
    wrong = torch.where(inverted, inside.sum((0, 2)), wrong)
    # A map without a contour is zero throughout with absent="zero".
    has_contour = inside.any(2) & outside.any(2)
    padded = outside & (values == 0) & (has_contour | values.any(2)).unsqueeze(-1)
    sums = torch.stack([wrong, padded.sum((0, 2)), outside.sum((0, 2)), *_ignored(maps, counted)])
    bad, zeros, others, counting, ignored = sums.tolist()  # one wait
    _raise_for_signs({index: number / sizes[index] for index, number in zip(channels, bad, strict=True)})
    if sum(zeros) > _TOLERATED * sum(others):
        warnings.warn(
            f"distance_map must be positive outside of the label, got exactly 0 at {sum(zeros) / sum(others):.0%} of "
            "those voxels, as if the contour ran through them: pad maps with padding_mode='border' (RandAffined), "
            "mode='edge' (SpatialPadd) or 'reflect', not with zeros",
            MapMismatchWarning,
            stacklevel=4,
        )
    if any(2 * several > all_of_them for several, all_of_them in zip(counting, ignored, strict=True)):
        warnings.warn(
            "distance_map must be 0 at voxels that do not count, got other values there: it was made as if they did, "
            "and distances start at them; give SignedDistanceMapd the ignore_index of the loss",
            MapMismatchWarning,
            stacklevel=4,
        )
    return set(channels)


def _ignored(maps: torch.Tensor, counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many voxels have a value and how many there are, well within what does not count, `(C,)` each."""
    within = ~box_max_pool(counted, 2 * _REACH + 1).expand_as(maps)  # resampling blurs the rest
    return (within & (maps != 0)).flatten(2).sum((0, 2)), within.flatten(2).sum((0, 2))


def _raise_for_signs(shares: dict[int, float]) -> None:
    bad = {index: share for index, share in shares.items() if share > _TOLERATED}
    if bad:
        found = ", ".join(f"{share:.0%} of the foreground of channel {index}" for index, share in bad.items())
        raise ValueError(
            f"distance_map must be negative inside of the label, got positive values at {found}; did a transform move "
            "the label without the map (both keys go into every spatial transform after SignedDistanceMapd), is it the "
            "map of another case, or are its channels in another order? check_map=False leaves this check out"
        )


def _largest_step(maps: torch.Tensor) -> torch.Tensor:
    """Largest difference `(B, C)` between two neighbouring voxels that both are positive."""
    largest = maps.new_zeros(maps.shape[:2])
    for axis in range(2, maps.ndim):
        first, second = maps.narrow(axis, 0, maps.shape[axis] - 1), maps.narrow(axis, 1, maps.shape[axis] - 1)
        if first.numel():
            steps = torch.where(torch.minimum(first, second) > 0, (first - second).abs(), 0)
            largest = torch.maximum(largest, steps.flatten(2).amax(-1))
    return largest


def _largest_inside(options: DistanceMapOptions) -> float:
    """Largest value that a map may have inside; "kervadec" is -(d - 1) there, and d may be less than 1."""
    if options.convention != "kervadec":
        return 0.0
    if options.balance > 0 or options.normalize in ("diagonal", "max"):
        return float("inf")
    return 1.0 if options.normalize is None or options.clip is None else 1.0 / options.clip


def _values_can_be_read() -> bool:
    """Whether this is a plain call: not traced, compiled, captured, or inside of a transform of torch.func."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return False
    # torch has no public name for it
    if torch._C._are_functorch_transforms_active():
        return False
    return not (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing())
