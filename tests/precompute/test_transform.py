"""The map that is read is that of the whole volume, voxel by voxel, wherever the crop lies and however it is turned."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import NibabelReader
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandRotate90d,
    RandSpatialCropd,
    Spacingd,
    SpatialCropd,
    SpatialPadd,
    SqueezeDimd,
    Zoomd,
)

from monai_boundary import PrecomputedDistanceMapd, RescaleDistanceMapd, SignedDistanceMapd
from monai_boundary.datasets import write_volume
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps
from monai_boundary.transforms.map_record import recorded_options
from tests.precompute.conftest import OPTIONS, whole

LOAD = [LoadImaged("label"), EnsureChannelFirstd("label")]
SAME = {"num_classes": 2, "preset": None, "clip": 20.0, "absent": "far", "dtype": torch.float16}


class LpsReader(NibabelReader):
    """Gives what ITKReader(affine_lps_to_ras=False) gives."""

    def get_data(self, img) -> tuple:
        array, meta = super().get_data(img)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ meta["affine"]
        return array, {**meta, "affine": affine, "original_affine": affine, "space": "LPS"}


def item(data: Path, case: str = "p1") -> dict:
    return {"label": str(data / f"{case}_label.nii.gz")}


def lattice_moves(keys: list[str]) -> list:
    """Random crops, flips and turns, one after another; same random numbers for whatever keys."""
    crops = RandSpatialCropd(keys, (9, 11, 7), random_size=False)
    flips = [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)]
    turns = [RandRotate90d(keys, prob=0.7, max_k=3, spatial_axes=axes) for axes in ((0, 1), (1, 2))]
    return [crops, *flips, *turns, RandSpatialCropd(keys, 6, random_size=False), *flips]


@pytest.mark.parametrize("seed", range(8))
def test_behind_crops_flips_and_turns_it_is_exactly_the_part_of_the_whole_map(
    data: Path, maps: Path, seed: int
) -> None:
    whole = Compose([*LOAD, SignedDistanceMapd("label", **SAME), *lattice_moves(["label", "distance_map"])])
    patch = Compose([*LOAD, *lattice_moves(["label"]), PrecomputedDistanceMapd("label", maps)])
    before = Compose([*LOAD, PrecomputedDistanceMapd("label", maps), *lattice_moves(["label", "distance_map"])])
    wanted, *found = (each.set_random_state(seed)(item(data)) for each in (whole, patch, before))
    for sample in found:
        assert torch.equal(sample["label"].as_tensor(), wanted["label"].as_tensor())
        assert sample["distance_map"].dtype == torch.float16
        assert torch.equal(sample["distance_map"].as_tensor(), wanted["distance_map"].as_tensor())
        torch.testing.assert_close(sample["distance_map"].affine, wanted["distance_map"].affine)
    patched = found[0]
    steps = np.linalg.norm(patched["label"].affine[:3, :3], axis=0).tolist()
    assert patched["distance_map"].meta["distance_map_spacing"] == pytest.approx(steps)
    assert recorded_options(patched["distance_map"]) == recorded_options(wanted["distance_map"]) == {OPTIONS}
    assert wanted["distance_map"].shape == (2, 6, 6, 6)


def test_only_the_patch_is_asked_for(data: Path, maps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, read = [], MapStore.read
    monkeypatch.setattr(MapStore, "read", lambda *given: asked.append(given[3]) or read(*given))
    steps = [*LOAD, RandSpatialCropd("label", (5, 6, 7), random_size=False), PrecomputedDistanceMapd("label", maps)]
    Compose(steps)(item(data))
    assert asked == [[5, 6, 7]]


def test_other_orientations_and_foreground_crops_are_followed(data: Path, maps: Path) -> None:
    def steps(keys: list[str]) -> list:
        crops = RandCropByPosNegLabeld(keys, "label", (8, 8, 4), num_samples=3)
        return [Orientationd(keys, "PIR", labels=None), crops]

    whole = Compose([*LOAD, SignedDistanceMapd("label", **SAME), *steps(["label", "distance_map"])])
    patch = Compose([*LOAD, *steps(["label"]), PrecomputedDistanceMapd("label", maps)])
    for wanted, found in zip(*(each.set_random_state(1)(item(data)) for each in (whole, patch)), strict=True):
        assert torch.equal(found["distance_map"].as_tensor(), wanted["distance_map"].as_tensor())


def test_beyond_the_volume_the_border_repeats(data: Path, maps: Path) -> None:
    size = (50, 60, 20)
    whole = Compose([*LOAD, SignedDistanceMapd("label", **SAME), SpatialPadd("distance_map", size, mode="edge")])
    patch = Compose([*LOAD, SpatialPadd("label", size), PrecomputedDistanceMapd("label", maps)])
    wanted, found = (each(item(data))["distance_map"].as_tensor() for each in (whole, patch))
    assert torch.equal(found, wanted)


def test_what_sticks_out_repeats_the_nearest_voxels_and_what_lies_outside_is_refused(data: Path, maps: Path) -> None:
    store, volume = MapStore(maps), whole(maps, "p0")
    for start, size in (((-3, 2, 3), (4, 5, 6)), ((35, 2, 3), (4, 5, 6)), ((-3, -2, -1), (60, 70, 30))):
        index = [np.clip(np.arange(s, s + n), 0, w - 1) for s, n, w in zip(start, size, volume.shape[1:], strict=True)]
        assert np.array_equal(store.read("p0", start, size), volume[(slice(None), *np.ix_(*index))])
    sample = Compose([*LOAD, SpatialCropd("label", roi_slices=[slice(0, 4)] * 3)])(item(data))
    for axis, voxels in ((0, -4), (1, 40), (2, 12)):
        moved = sample["label"].clone()
        moved.affine = moved.affine @ torch.from_numpy(np.eye(4) + voxels * np.eye(4)[axis][:, None] * np.eye(4)[3])
        with pytest.raises(
            ValueError, match=r"'p1' must overlap their volume of \(36, 40, 12\) voxels, .* wholly outside"
        ):
            PrecomputedDistanceMapd("label", maps)({"label": moved})


@pytest.mark.parametrize("flips", [(), (0,), (0, 1, 2)])
def test_an_affine_in_lps_gives_the_same_map_and_an_unknown_space_is_named(data: Path, maps: Path, flips) -> None:
    steps = [
        EnsureChannelFirstd("label"),
        RandSpatialCropd("label", (9, 11, 7), random_size=False),
        *(RandFlipd("label", prob=1.0, spatial_axis=axis) for axis in flips),
        PrecomputedDistanceMapd("label", maps),
    ]
    readers = NibabelReader(), LpsReader()
    found = [Compose([LoadImaged("label", reader), *steps]).set_random_state(3)(item(data)) for reader in readers]
    assert torch.equal(found[1]["distance_map"].as_tensor(), found[0]["distance_map"].as_tensor())
    assert (found[1]["distance_map"][1][found[1]["label"][0] > 0] < 0).all()
    found[1]["label"].meta["space"] = "scanner-xyz"
    with pytest.raises(ValueError, match=r"affine in RAS or LPS, got meta\['space'\]='scanner-xyz'"):
        PrecomputedDistanceMapd("label", maps)(found[1])


def test_maps_on_several_chunks_are_put_together(data: Path, tmp_path: Path) -> None:
    labels = np.zeros((90, 70, 140), np.uint8)
    labels[30:50, 20:60, 60:80] = 1
    write_volume(data / "p0_label.nii.gz", labels, (1.0, 1.0, 1.0))
    precompute_maps(data, tmp_path / "maps", 2, OPTIONS, shard="1/3", progress=False)
    volume = whole(tmp_path / "maps", "p0")
    assert volume.shape == (1, 140, 70, 90)
    part = MapStore(tmp_path / "maps").read("p0", (50, 3, 20), (80, 64, 60))
    assert np.array_equal(part, volume[:, 50:130, 3:67, 20:80])


def test_after_a_zoom_the_map_can_be_rescaled(data: Path, maps: Path) -> None:
    zoom = Zoomd("distance_map", 2.0, mode="trilinear", keep_size=False, dtype=torch.float32)
    read = Compose([*LOAD, PrecomputedDistanceMapd("label", maps, dtype=torch.float32), zoom])(item(data))
    rescaled = RescaleDistanceMapd("distance_map")(read)
    torch.testing.assert_close(rescaled["distance_map"].as_tensor(), 2 * read["distance_map"].as_tensor())


@pytest.mark.parametrize(
    "step", [Spacingd("label", (1.5, 1.0, 1.0), mode="nearest"), Zoomd("label", 1.25, mode="nearest", keep_size=False)]
)
def test_resampled_labels_are_refused_with_both_spacings(data: Path, maps: Path, step) -> None:
    with pytest.raises(RuntimeError) as caught:
        Compose([*LOAD, step, PrecomputedDistanceMapd("label", maps)])(item(data))
    text = str(caught.value.__cause__)
    assert "labels of case 'p1' must lie on the voxels of their volume, spacing [1.0, 1.0, 3.0]" in text
    assert "read the map before Spacingd" in text


def test_a_shift_by_half_a_voxel_is_refused(data: Path, maps: Path) -> None:
    sample = Compose(LOAD)(item(data))
    sample["label"].affine[0, 3] += 0.5
    with pytest.raises(ValueError, match="must lie on the voxels"):
        PrecomputedDistanceMapd("label", maps)(sample)


def test_labels_that_changed_since_are_refused(data: Path, maps: Path) -> None:
    transform = PrecomputedDistanceMapd("label", maps)
    file = data / "p1_label.nii.gz"
    os.utime(file, (1, 1))  # a copy: same bytes, other time
    transform(Compose(LOAD)(item(data)))
    file.write_bytes((data / "p0_label.nii.gz").read_bytes())
    with pytest.raises(
        ValueError, match=r"'p1' must be that of its labels, got .*changed since.*precompute-maps again"
    ):
        PrecomputedDistanceMapd("label", maps)(Compose(LOAD)(item(data)))
    PrecomputedDistanceMapd("label", maps, check_source=False)(Compose(LOAD)(item(data)))


@pytest.mark.parametrize(
    ("expected", "error", "text"),
    [
        (
            {"clip": 10.0},
            ValueError,
            r"must fit the request, got .*p0\.b2nd with clip=20\.0, not 10\.0; ask for what is",
        ),
        ({"include_background": False}, ValueError, "include_background=True, not False"),
        ({"preset": "published"}, ValueError, r"convention='half', not 'kervadec'; clip=20\.0, not None; absent='far'"),
        ({"clipping": 3}, TypeError, "settings must be of .* got clipping"),
    ],
)
def test_maps_of_other_settings_are_refused(maps: Path, expected: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        PrecomputedDistanceMapd("label", maps, **expected)
    PrecomputedDistanceMapd("label", maps, clip=20.0, convention="half", num_classes=2)


@pytest.mark.parametrize("case", ["p9", "../maps/p1", "", "."])
def test_a_case_without_map_is_named(data: Path, maps: Path, case: str) -> None:
    with pytest.raises(ValueError, match=f"must hold a map of case '{re.escape(case)}', got none"):
        PrecomputedDistanceMapd("label", maps)({**Compose(LOAD)(item(data)), "case": case})


def test_what_is_no_label_of_a_folder_of_maps_is_named(data: Path, maps: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="labels must be a MetaTensor, got Tensor"):
        PrecomputedDistanceMapd("label", maps)({"label": torch.zeros(1, 4, 4, 4)})
    with pytest.raises(ValueError, match="must be a folder that monai-boundary precompute-maps wrote"):
        PrecomputedDistanceMapd("label", tmp_path)
    flat = Compose(
        [*LOAD, SpatialCropd("label", roi_slices=[slice(None), slice(None), slice(3, 4)]), SqueezeDimd("label", -1)]
    )
    with pytest.raises(ValueError, match=r"labels must have 3 spatial axes, got shape \(1, 36, 40\)"):
        PrecomputedDistanceMapd("label", maps)(flat(item(data)))


def test_labels_are_known_by_their_name_elsewhere_and_by_the_case_where_that_is_not_unique(
    data: Path, maps: Path, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    copy, other = (tmp_path / "copy" / f"{name}.nii.gz" for name in ("p1_label", "wmh"))
    copy.write_bytes((data / "p1_label.nii.gz").read_bytes())
    transform, wanted = PrecomputedDistanceMapd("label", maps), whole(maps, "p1")
    assert np.array_equal(transform(Compose(LOAD)({"label": str(copy)}))["distance_map"].numpy(), wanted)
    sample = Compose(LOAD)({"label": str(copy.rename(other))})
    with pytest.raises(ValueError, match=r"one map made from .*wmh\.nii\.gz, got 0; .*case_key"):
        transform(sample)
    assert np.array_equal(transform({**sample, "case": "p1"})["distance_map"].numpy(), wanted)


def test_a_folder_that_may_only_be_read_is_enough(data: Path, maps: Path) -> None:
    for path in (*maps.iterdir(), maps):
        path.chmod(0o555)
    assert PrecomputedDistanceMapd("label", maps)(Compose(LOAD)(item(data)))["distance_map"].shape == (2, 36, 40, 12)
    maps.chmod(0o755)


def test_it_goes_to_worker_processes(data: Path, maps: Path) -> None:
    transform = PrecomputedDistanceMapd("label", maps)
    transform(Compose(LOAD)(item(data)))
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301 - made here
    sample = Compose(LOAD)(item(data))
    assert torch.equal(copy(sample)["distance_map"], transform(sample)["distance_map"])
