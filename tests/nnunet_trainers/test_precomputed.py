"""Stored maps follow nnU-Net's crop, mirroring, rotation and zoom, and fit what the trainer asks for."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.rot90 import Rot90Transform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from monai_boundary import DistanceMapOptions
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps
from monai_boundary.precompute.sources import label_scheme
from nnunet_trainers.full_volume import nnUNetTrainerBoundaryPrecomputed, nnUNetTrainerDiceCEBoundaryPrecomputed
from nnunet_trainers.mixin import ROBUST
from nnunet_trainers.precomputed import LoaderWithMaps, WarpMaps
from tests import oracles
from tests.nnunet_trainers.datasets import FOLDER, IGNORE, KINDS, LABELS, REGIONS, REGIONS_IGNORE, SPACING
from tests.nnunet_trainers.running import build, run_epoch


@pytest.fixture
def with_maps(nnunet_folders: Path, results: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that precomputes the maps of a data set and lets the trainers find them."""

    def make(dataset: str, **settings) -> Path:
        source, target = Path(nnUNet_preprocessed) / dataset / FOLDER, results / f"{dataset}_maps"
        precompute_maps(source, target, progress=False, **settings)
        monkeypatch.setattr("nnunet_trainers.precomputed.PrecomputedMapsMixin.map_folder", str(target))
        return target

    return make


def crop(array: np.ndarray, box: tuple, fill: int | None = None) -> np.ndarray:
    """Part of `(C, *S)`; beyond it `fill`, or the border again."""
    index = [np.arange(low, high) for low, high in zip(*box, strict=True)]
    inner = [np.clip(each, 0, size - 1) for each, size in zip(index, array.shape[1:], strict=True)]
    part = array[(slice(None), *np.ix_(*inner))].copy()
    if fill is not None:
        outside = np.zeros(part.shape[1:], bool)
        for axis, (each, kept) in enumerate(zip(index, inner, strict=True)):
            outside |= np.expand_dims(each != kept, tuple(a for a in range(3) if a != axis))
        part[:, outside] = fill
    return part


def scipy_maps(trainer, case: str, clip: float) -> np.ndarray:
    """Maps in mm of the whole volume, by scipy, rounded to float16."""
    dataset = nnUNetDatasetBlosc2(str(Path(nnUNet_preprocessed) / trainer.plans_manager.dataset_name / FOLDER))
    array, labels = np.maximum(np.asarray(dataset.load_case(case)[1][:])[0], 0), trainer.label_manager
    valid = array != labels.ignore_label if labels.has_ignore_label else None
    groups = labels.foreground_regions if labels.has_regions else labels.foreground_labels
    settings = {"distance": oracles.scipy_distance, "clip": clip, "absent": "far", "valid": valid}
    return np.stack([oracles.signed_map(np.isin(array, group), SPACING, **settings) for group in groups])


def watch(loader, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple]]:
    """Note the case and the box of every crop."""
    seen, load = [], type(loader._data).load_map

    def noting(dataset, start, end):
        seen.append((dataset.loaded, (start, end)))
        return load(dataset, start, end)

    monkeypatch.setattr(type(loader._data), "load_map", noting)
    return seen


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
def test_in_validation_the_maps_are_exactly_the_part_of_the_volume_below_the_crop(
    dataset: str, with_maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MapStore(with_maps(dataset, options=DistanceMapOptions(clip=30.0, absent="far")))
    monkeypatch.setattr(nnUNetTrainerBoundaryPrecomputed, "boundary_map", DistanceMapOptions(clip=20.0, absent="far"))
    trainer = build(nnUNetTrainerBoundaryPrecomputed, dataset)
    loader = trainer.dataloader_val.data_loader
    assert isinstance(loader, LoaderWithMaps)
    seen = watch(loader, monkeypatch)
    batch = next(trainer.dataloader_val)
    for number, (case, box) in enumerate(seen):
        labels, maps = batch["target"][0][number].numpy(), batch["target"][-1][number].numpy()
        kept = np.ones(maps.shape[1:], bool)
        if trainer.label_manager.has_ignore_label:
            kept = ~labels[-1] if trainer.label_manager.has_regions else labels[0] != trainer.label_manager.ignore_label
        assert np.array_equal(maps[:, kept], crop(store.read(case), box)[:, kept].clip(-20, 20))
        assert not maps[:, ~kept].any()
        np.testing.assert_allclose(
            maps[:, kept].astype(float), crop(scipy_maps(trainer, case, 20.0), box)[:, kept], atol=1e-2, rtol=1e-3
        )
    assert len(seen) == 2


@pytest.mark.parametrize("dataset", [LABELS, REGIONS_IGNORE])
def test_the_maps_are_finished_for_the_patch_as_the_trainer_asks(
    dataset: str, with_maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_maps(dataset)
    trainer = build(nnUNetTrainerBoundaryPrecomputed, dataset)
    seen = watch(trainer.dataloader_val.data_loader, monkeypatch)
    batch = next(trainer.dataloader_val)
    for number, (case, box) in enumerate(seen):
        labels, found = batch["target"][0][number].numpy(), batch["target"][-1][number].numpy()
        regions = trainer.label_manager.has_regions
        masks = labels[:2] if regions else np.stack([labels[0] == 1, labels[0] == 2])
        wanted = np.clip(crop(scipy_maps(trainer, case, 20.0), box), -10, 10) / 10
        wanted = np.where(labels[-1:], 0, wanted) if regions else wanted
        for channel, mask, maps in zip(wanted, masks.astype(bool), found, strict=True):
            inner, outer = np.abs(channel[mask]).sum(), channel[~mask].sum()
            factor = min(np.sqrt(outer / inner), ROBUST.balance_cap) if inner > 0 and outer > 0 else 1
            np.testing.assert_allclose(maps, np.where(mask, factor * channel, channel), rtol=1e-2, atol=1e-2)


def warped(scale: float, angle: float = 0.0, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """A cube's map, isotropic, after zoom and rotation, and the map of the labels after the same."""
    labels = np.zeros((1, size, size, size), np.int16)
    labels[0, 14:27, 12:26, 15:28] = 1
    options = {"spacing": (1.0,) * 3, "distance": oracles.scipy_distance, "clip": 20.0}
    maps = torch.from_numpy(oracles.signed_map(labels[0] == 1, **options)[None]).float()
    spatial = SpatialTransform(
        (32, 32, 32), 0, False, p_rotation=1.0 if angle else 0.0, rotation=(angle, angle),
        p_scaling=1.0, scaling=(scale, scale), p_synchronize_scaling_across_axes=1,
    )  # fmt: skip
    sample = {"image": torch.zeros(1, size, size, size), "segmentation": torch.from_numpy(labels)}
    moved = WarpMaps(spatial, 20.0)(**sample, regression_target=maps)
    again = oracles.signed_map(moved["segmentation"][0].numpy() == 1, **options)
    return moved["regression_target"][0], torch.from_numpy(again)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_zoomed_and_turned_maps_are_those_of_the_zoomed_and_turned_labels(scale: float, angle: float) -> None:
    found, wanted = warped(scale, angle)
    near = wanted.abs() < 8
    assert (found - wanted)[near].abs().mean() < 0.45
    # without the factor it is wrong by it
    if scale != 1:
        assert (found * scale - wanted)[near].abs().mean() > 0.9


def test_beyond_the_crop_the_border_repeats() -> None:
    maps, size = torch.full((1, 24, 24, 24), 15.0), (24, 24, 24)
    spatial = SpatialTransform(size, 0, False, p_scaling=1.0, scaling=(1.4, 1.4), p_synchronize_scaling_across_axes=1)
    sample = {"image": torch.zeros(1, *size), "segmentation": torch.zeros((1, *size), dtype=torch.int16)}
    moved = WarpMaps(spatial, 20.0)(**sample, regression_target=maps)["regression_target"]
    torch.testing.assert_close(moved, torch.full((1, *size), 15 / 1.4))


@pytest.mark.parametrize("configuration", ["3d_fullres", "dummy_2d", "3d_cascade_fullres"])
def test_a_trainer_runs_an_epoch_on_stored_maps(configuration: str, with_maps) -> None:
    with_maps(LABELS)
    trainer = build(nnUNetTrainerDiceCEBoundaryPrecomputed, LABELS, configuration)
    trained, _ = run_epoch(trainer, 2, 1)
    assert all(np.isfinite(result["boundary_term"]) for result in trained)
    *_, maps = next(trainer.dataloader_train)["target"]
    assert maps.shape == (2, 2, *trainer.configuration_manager.patch_size)
    assert maps.dtype == torch.float16


def test_the_loader_goes_to_worker_processes(with_maps) -> None:
    with_maps(LABELS)
    loader = build(nnUNetTrainerBoundaryPrecomputed, LABELS).dataloader_train.data_loader
    copy = pickle.loads(pickle.dumps(loader))  # noqa: S301 - made here
    assert copy.generate_train_batch()["target"][-1].dtype == torch.float16


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"options": DistanceMapOptions(clip=10.0, absent="far")}, r"clip of at least 14 mm: 10 mm at a zoom of 1\.4"),
        ({"options": DistanceMapOptions("centre", 20.0, "far")}, "convention='centre', not 'half'"),
        ({"options": DistanceMapOptions(clip=20.0)}, "absent='zero', not 'far'"),
        ({"options": ROBUST}, "normalize='clip', not None; balance=0.5, not 0.0"),
        ({"include_background": True}, "include_background=True, not False"),
    ],
)
def test_maps_that_do_not_fit_the_trainer_are_refused(settings: dict, text: str, with_maps) -> None:
    with_maps(LABELS, **settings)
    with pytest.raises(ValueError, match=text):
        build(nnUNetTrainerBoundaryPrecomputed, LABELS)


def test_maps_of_another_spacing_are_refused(with_maps) -> None:
    folder = with_maps(LABELS)
    content = json.loads((folder / "manifest.json").read_text())
    content["cases"]["case_1"]["spacing"] = [3.0, 1.0, 1.0]
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"spacing of the configuration, \(3\.0, 1\.0, 0\.75\), got .*\(3\.0, 1\.0, 1\.0\)"
    ):
        build(nnUNetTrainerBoundaryPrecomputed, LABELS)


def test_labels_that_changed_since_a_missing_case_and_other_shapes_are_refused(with_maps) -> None:
    folder = with_maps(LABELS)
    trainer = build(nnUNetTrainerBoundaryPrecomputed, LABELS, started=False)
    trainer.initialize()
    content = json.loads((folder / "manifest.json").read_text())
    for change, text in (
        ({"source": content["cases"]["case_1"]["source"] | {"size": 1}}, "changed since"),
        ({"shape": [2, 16, 36, 41]}, "must have the shape of its image"),
    ):
        wrong = {**content, "cases": {**content["cases"], "case_1": content["cases"]["case_1"] | change}}
        (folder / "manifest.json").write_text(json.dumps(wrong))
        trainer._store = None
        dataset = trainer.get_tr_and_val_datasets()[0]
        dataset.load_case("case_0")
        with pytest.raises(ValueError, match=text):
            dataset.load_case("case_1")
    with pytest.raises(ValueError, match="must hold a map of case 'case_9'"):
        MapStore(folder).read("case_9")


def test_a_2d_configuration_and_a_missing_folder_are_refused(with_maps, monkeypatch: pytest.MonkeyPatch) -> None:
    with_maps(LABELS)
    with pytest.raises(ValueError, match="must be of volumes, got a 2d configuration"):
        build(nnUNetTrainerBoundaryPrecomputed, LABELS, "2d")
    monkeypatch.setattr("nnunet_trainers.precomputed.PrecomputedMapsMixin.map_folder", None)
    with pytest.raises(ValueError, match=rf"precompute-maps wrote, got .*{FOLDER}_maps without manifest"):
        build(nnUNetTrainerBoundaryPrecomputed, LABELS)


@pytest.mark.parametrize(
    "transform",
    [
        SpatialTransform((8, 8, 8), 0, False, p_elastic_deform=0.1),
        SpatialTransform((8, 8, 8), 0, False, p_scaling=0.1),
        Rot90Transform(1),
    ],
)
def test_augmentation_that_the_maps_cannot_follow_is_refused(
    transform, with_maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_maps(LABELS)

    class Augmented(nnUNetTrainerBoundaryPrecomputed):
        def _with_maps(self, transforms):
            transforms.transforms.insert(0, transform)
            return super()._with_maps(transforms)

    with pytest.raises(ValueError, match=r"precomputed maps must be (zoomed alike|moved as the voxels are)"):
        build(Augmented, LABELS)


def test_mirroring_turns_the_maps_with_the_labels(with_maps, monkeypatch: pytest.MonkeyPatch) -> None:
    with_maps(LABELS)
    monkeypatch.setattr(SpatialTransform, "get_parameters", _centre)
    trainer = build(nnUNetTrainerBoundaryPrecomputed, LABELS)
    chain = trainer.dataloader_train.data_loader.transforms_of_maps.transforms
    assert any(isinstance(each, MirrorTransform) for each in chain)
    for _ in range(4):
        labels, *_, maps = next(trainer.dataloader_train)["target"]
        for sample, both in zip(labels, maps, strict=True):
            for index, one in enumerate(both, start=1):
                inside = sample[0] == index
                if inside.any():
                    assert (one[inside] < 0).all()
                    assert (one[~inside] > 0).all()


def _centre(spatial, **sample) -> dict:
    shape = sample["image"].shape[1:]
    return {"center_location_in_pixels": [s / 2 for s in shape], "grid": None, "affine": None, "elastic_offsets": None}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_labels_are_read_as_nnunet_reads_them(kind, nnunet_folders: Path) -> None:
    scheme = label_scheme(Path(nnUNet_preprocessed) / kind.name / "dataset.json")
    manager = LabelManager(kind.labels, kind.regions_class_order)
    assert scheme.ignore_index == manager.ignore_label
    if manager.has_regions:
        assert list(scheme.regions) == [tuple(np.atleast_1d(r).tolist()) for r in manager.foreground_regions]
    else:
        assert scheme.num_classes == manager.num_segmentation_heads
        assert scheme.regions is None


def test_voxels_outside_the_body_are_background(with_maps, nnunet_folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset909" / FOLDER
    folder.mkdir(parents=True)
    for name in ("tinyPlans.json", "dataset.json"):
        (folder.parent / name).write_text((Path(nnUNet_preprocessed) / LABELS / name).read_text())
    labels = np.zeros((1, 6, 20, 20), np.int16)
    labels[0, 2:4, 8:12, 8:12] = 1
    outside = np.where(np.arange(20) < 5, -1, labels)
    for name, array in (("plain", labels), ("masked", outside)):
        nnUNetDatasetBlosc2.save_seg(array.astype(np.int8), os.fspath(folder / f"{name}_seg"))
    precompute_maps(folder, tmp_path / "maps", progress=False)
    store = MapStore(tmp_path / "maps")
    assert np.array_equal(store.read("plain"), store.read("masked"))
