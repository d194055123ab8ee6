"""The map that is read is that of the whole volume, voxel by voxel, wherever the crop lies and however it is turned."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import monai.transforms as mt
import nibabel
import numpy as np
import pytest
import torch
from monai.data import NibabelReader

from monai_boundary import PrecomputedDistanceMapd, RescaleDistanceMapd, SignedDistanceMapd
from monai_boundary.datasets import write_volume
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps
from monai_boundary.transforms.distance_map import recorded_options
from tests.precompute.conftest import ALL, GIVEN, OPTIONS, whole

LOAD = [mt.LoadImaged("label"), mt.EnsureChannelFirstd("label")]
SAME = {"num_classes": 2, "preset": None, "clip": 20.0, "absent": "far", "dtype": torch.float16}


class LpsReader(NibabelReader):
    """Gives what ITKReader(affine_lps_to_ras=False) gives."""

    def get_data(self, img) -> tuple:
        array, meta = super().get_data(img)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ meta["affine"]
        return array, {**meta, "affine": affine, "original_affine": affine, "space": "LPS"}


def item(data: Path, case: str = "p1") -> dict:
    return {"label": str(data / f"{case}.nii.gz")}


@pytest.fixture
def sample(data: Path) -> dict:
    """The labels of a case, loaded."""
    return mt.Compose(LOAD)(item(data))


def lattice_moves(keys: list[str], axes: str = "RAS") -> list:
    """Random crops, flips and turns, one after another; same random numbers for whatever keys."""
    turned = mt.Orientationd(keys, axes, labels=None)
    crops = mt.RandSpatialCropd(keys, (9, 11, 7), random_size=False)
    flips = [mt.RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)]
    turns = [mt.RandRotate90d(keys, prob=0.7, max_k=3, spatial_axes=axes) for axes in ((0, 1), (1, 2))]
    return [turned, crops, *flips, *turns, mt.RandSpatialCropd(keys, 6, random_size=False), *flips]


@pytest.mark.parametrize("seed", range(8))
def test_behind_crops_flips_and_turns_it_is_exactly_the_part_of_the_whole_map(data, maps, monkeypatch, seed) -> None:
    axes, asked, read = ("RAS", "PIR")[seed % 2], [], MapStore.read
    monkeypatch.setattr(MapStore, "read", lambda *given: asked.append(given[3]) or read(*given))
    both = lattice_moves(["label", "distance_map"], axes)
    before = mt.Compose([*LOAD, PrecomputedDistanceMapd("label", maps), *both])
    patch = mt.Compose([*LOAD, *lattice_moves(["label"], axes), PrecomputedDistanceMapd("label", maps)])
    steps = mt.Compose([*LOAD, SignedDistanceMapd("label", **SAME), *both])
    wanted, *found = (each.set_random_state(seed)(item(data)) for each in (steps, before, patch))
    for sample in found:
        assert torch.equal(sample["label"].as_tensor(), wanted["label"].as_tensor())
        assert sample["distance_map"].dtype == torch.float16
        assert torch.equal(sample["distance_map"].as_tensor(), wanted["distance_map"].as_tensor())
        torch.testing.assert_close(sample["distance_map"].affine, wanted["distance_map"].affine)
    assert asked[-1] == [6, 6, 6]  # and no more
    lengths = np.linalg.norm(found[1]["label"].affine[:3, :3], axis=0).tolist()
    assert found[1]["distance_map"].meta["distance_map_spacing"] == pytest.approx(lengths)
    assert recorded_options(found[1]["distance_map"]) == recorded_options(wanted["distance_map"]) == {OPTIONS}


def test_what_sticks_out_repeats_the_nearest_voxels_and_what_lies_outside_is_refused(sample, maps) -> None:
    transform, volume = PrecomputedDistanceMapd("label", maps), whole(maps, "p1")
    padded = transform(mt.SpatialPadd("label", (50, 60, 20))(sample))["distance_map"]
    assert np.array_equal(padded.numpy(), np.pad(volume, ((0, 0), (7, 7), (10, 10), (4, 4)), mode="edge"))
    corner = mt.SpatialCropd("label", roi_slices=[slice(0, 4)] * 3)(sample)["label"]
    for axis, voxels in ((0, -4), (1, 40), (2, 12)):
        moved = corner.clone()
        moved.affine[:3, 3] += voxels * corner.affine[:3, axis]
        with pytest.raises(ValueError, match=r"'p1' must overlap their volume of \(36, 40, 12\) .* wholly outside"):
            transform({"label": moved})


@pytest.mark.parametrize("flips", [(), (0,), (0, 1, 2)])
def test_an_affine_in_lps_gives_the_same_map_and_an_unknown_space_is_named(data: Path, maps: Path, flips) -> None:
    transform = PrecomputedDistanceMapd("label", maps)
    moves = [mt.RandFlipd("label", prob=1.0, spatial_axis=axis) for axis in flips]
    moves = [mt.EnsureChannelFirstd("label"), mt.RandSpatialCropd("label", (9, 11, 7), random_size=False), *moves]
    steps = [mt.Compose([mt.LoadImaged("label", reader), *moves]) for reader in (NibabelReader(), LpsReader())]
    ras, lps = (transform(each.set_random_state(3)(item(data))) for each in steps)
    assert torch.equal(lps["distance_map"].as_tensor(), ras["distance_map"].as_tensor())
    assert (lps["distance_map"][1][lps["label"][0] > 0] < 0).all()
    lps["label"].meta["space"] = "scanner-xyz"
    with pytest.raises(ValueError, match=r"affine in RAS or LPS, got meta\['space'\]='scanner-xyz'"):
        transform(lps)


def test_maps_on_several_chunks_are_put_together(data: Path, tmp_path: Path) -> None:
    labels = np.zeros((90, 70, 140), np.uint8)
    labels[30:50, 20:60, 60:80] = 1
    write_volume(data / "p0.nii.gz", labels, (1.0, 1.0, 1.0))
    precompute_maps(data, tmp_path / "maps", 2, OPTIONS, shard="1/3", progress=False)
    part = MapStore(tmp_path / "maps").read("p0", (50, 3, 20), (80, 64, 60))
    assert np.array_equal(part, whole(tmp_path / "maps", "p0")[:, 50:130, 3:67, 20:80])


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 3, 1, 2)])
@pytest.mark.parametrize("flip", [[], [mt.Flipd("label", 0)]])
def test_axes_that_were_transposed_without_their_affine_are_refused(sample: dict, maps: Path, order, flip) -> None:
    moved = mt.Compose([*flip, mt.Transposed("label", order)])(sample)
    with pytest.raises(
        ValueError, match=r"have the axes of their affine, got shape .* in a volume of .*before Transposed"
    ):
        PrecomputedDistanceMapd("label", maps)(moved)


def test_after_a_zoom_the_map_can_be_rescaled(sample: dict, maps: Path) -> None:
    zoom = mt.Zoomd("distance_map", 2.0, mode="trilinear", keep_size=False, dtype=torch.float32)
    read = zoom(PrecomputedDistanceMapd("label", maps, dtype=torch.float32)(sample))
    rescaled = RescaleDistanceMapd("distance_map")(read)
    expected = (2 * read["distance_map"].as_tensor()).clamp(-20, 20)  # the clip
    torch.testing.assert_close(rescaled["distance_map"].as_tensor(), expected)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (mt.Spacingd("label", (1.5, 1, 1), mode="nearest"), r"spacing \[1.0, 1.0, 3.0\] mm, got .*\[1.5, 1.0, 1.0\]"),
        (mt.Zoomd("label", 1.25, mode="nearest", keep_size=False), r"\[1.0, 1.0, 3.0\] mm, got .*\[0.8, 0.8, 2.4\]"),
        (mt.Affined("label", translate_params=(0.5, 0, 0), mode="nearest"), "read the map before Spacingd"),
        (mt.Affined("label", rotate_params=(0.1, 0, 0), mode="nearest"), "read the map before Spacingd"),
        (mt.Compose([mt.SpatialCropd("label", roi_slices=[*[slice(None)] * 2, slice(3, 4)]),
                     mt.SqueezeDimd("label", -1)]), r"must have 3 spatial axes, got shape \(1, 36, 40\)"),
        (mt.ToTensord("label", track_meta=False), "labels must be a MetaTensor, got Tensor"),
    ],
)  # fmt: skip
def test_labels_off_the_voxels_of_their_volume_are_refused(sample: dict, maps: Path, step, text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        PrecomputedDistanceMapd("label", maps)(step(sample))


def test_labels_that_changed_since_are_refused(data: Path, sample: dict, maps: Path) -> None:
    file = data / "p1.nii.gz"
    os.utime(file, (1, 1))  # a copy: same bytes, other time
    PrecomputedDistanceMapd("label", maps)(sample)
    file.write_bytes((data / "p0.nii.gz").read_bytes())
    with pytest.raises(ValueError, match=r"'p1' must be that of its labels, got .*changed since.*precompute-maps"):
        PrecomputedDistanceMapd("label", maps)(sample)
    PrecomputedDistanceMapd("label", maps, check_source=False)(sample)


def test_the_map_of_another_case_is_refused_whenever_it_is_asked_for(sample: dict, maps: Path) -> None:
    read = PrecomputedDistanceMapd("label", maps)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'p0' must be that of its labels, got .*another file or changed since"):
            read({**sample, "case": "p0"})
        read(sample)


@pytest.mark.parametrize(
    ("expected", "error", "text"),
    [
        ({"clip": 10.0}, ValueError, r"fit the request, got .*p0\.b2nd with clip=20\.0, not 10\.0; ask for what is"),
        ({"include_background": False}, ValueError, "include_background=True, not False"),
        ({"preset": "published"}, ValueError, r"convention='half', not 'kervadec'; clip=20\.0, not None; absent='far'"),
        ({"clipping": 3}, TypeError, "options of PrecomputedDistanceMapd must be of .*got clipping; did you mean clip"),
        ({"chek_source": False}, TypeError, "got chek_source; did you mean check_source"),
    ],
)
def test_maps_of_other_settings_are_refused(maps: Path, expected: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        PrecomputedDistanceMapd("label", maps, **expected)
    PrecomputedDistanceMapd("label", maps, clip=20.0, convention="half", num_classes=2)
    with pytest.raises(TypeError, match=r"options of the maps must be of .*, got num_class; did you mean num_classes"):
        MapStore(maps, num_class=2)


@pytest.mark.parametrize("case", ["p9", "../maps/p1", "", "."])
def test_a_case_without_map_and_a_folder_without_maps_are_named(sample, maps: Path, tmp_path: Path, case: str) -> None:
    with pytest.raises(ValueError, match=f"must hold a map of case '{re.escape(case)}', got none"):
        PrecomputedDistanceMapd("label", maps)({**sample, "case": case})
    with pytest.raises(ValueError, match="must be a folder that monai-boundary precompute-maps wrote"):
        PrecomputedDistanceMapd("label", tmp_path)


def test_labels_are_known_by_their_name_elsewhere_and_by_the_case_where_that_is_not_unique(data, maps) -> None:
    copy, transform, wanted = data / "copy" / "p1.nii.gz", PrecomputedDistanceMapd("label", maps), whole(maps, "p1")
    copy.parent.mkdir()
    (data / "p1.nii.gz").replace(copy)
    assert np.array_equal(transform(mt.Compose(LOAD)({"label": str(copy)}))["distance_map"].numpy(), wanted)
    sample = mt.Compose(LOAD)({"label": str(copy.rename(copy.with_name("wmh.nii.gz")))})
    with pytest.raises(ValueError, match=r"one map made from .*wmh\.nii\.gz, got 0; .*case_key"):
        transform(sample)
    assert np.array_equal(transform({**sample, "case": "p1"})["distance_map"].numpy(), wanted)


def test_it_goes_to_worker_processes_and_needs_no_right_to_write(data: Path, sample: dict, maps: Path) -> None:
    for path in (*maps.iterdir(), maps):
        path.chmod(0o555)
    assert precompute_maps(data, maps, **GIVEN).kept == ALL
    transform = PrecomputedDistanceMapd("label", maps)
    first = transform(sample)["distance_map"]
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301 - made here
    assert torch.equal(copy(sample)["distance_map"], first)
    maps.chmod(0o755)


@pytest.mark.parametrize(("unit", "per_mm"), [("micron", 1000.0), ("meter", 0.001), ("unknown", 1.0)])
def test_the_unit_of_the_labels_counts_as_for_the_command(tmp_path: Path, unit: str, per_mm: float) -> None:
    labels = np.zeros((20, 18, 16), np.uint8)
    labels[5:11, 4:12, 6:9] = 1
    image = nibabel.Nifti1Image(labels, np.diag([3 * per_mm, per_mm, 1.5 * per_mm, 1]))
    image.header.set_xyzt_units(unit)
    (tmp_path / "labels").mkdir()
    nibabel.save(image, tmp_path / "labels" / "a.nii.gz")
    precompute_maps(tmp_path / "labels", tmp_path / "maps", 2, OPTIONS, include_background=True, progress=False)
    keys = ["label", "distance_map"]
    sample = mt.Compose([mt.LoadImaged("label", NibabelReader()), mt.EnsureChannelFirstd("label")])(
        {"label": str(tmp_path / "labels" / "a.nii.gz")}
    )
    moves = [mt.SpatialCropd(keys[:1], roi_start=(2, 3, 4), roi_end=(14, 15, 16)), mt.Rotate90d(keys[:1], 1, (0, 2))]
    read = mt.Compose([*moves, PrecomputedDistanceMapd("label", tmp_path / "maps")])(sample)["distance_map"]
    moves = [mt.SpatialCropd(keys, roi_start=(2, 3, 4), roi_end=(14, 15, 16)), mt.Rotate90d(keys, 1, (0, 2))]
    made = mt.Compose([SignedDistanceMapd("label", **SAME), *moves])(sample)["distance_map"]
    torch.testing.assert_close(read.as_tensor(), made.as_tensor())
    assert read.meta["distance_map_spacing"] == pytest.approx([1.5, 1, 3])
    assert float(read.max()) > 4  # mm, and not a clip that everything reaches
    assert len(read.unique()) > 20
    torch.testing.assert_close(RescaleDistanceMapd("m")({"m": read})["m"].as_tensor(), read.as_tensor())
