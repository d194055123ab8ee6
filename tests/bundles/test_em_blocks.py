"""The bundle's prediction beyond memory, and of objects that go on from slice to slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from monai_boundary.bundles.em_blocks import predict_volumes_by_blocks
from monai_boundary.bundles.em_items import LikelihoodPredictor, items_of_split
from monai_boundary.bundles.em_prediction import predict_volumes
from monai_boundary.datasets.em import EmSlices, EmVolumes, cremi_volumes, fold_volumes, zarr_volumes
from monai_boundary.kernels.slices import link_slices
from monai_boundary.metrics import LikelihoodSegmentation
from tests.datasets.em import files

pytest.importorskip("zarr", reason="zarr is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")


class Dark(nn.Module):
    """Membrane where the standardised image is dark."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return -4 * batch - 2


def predictor() -> LikelihoodPredictor:
    def preprocessing(item: dict) -> dict:
        return {"image": item["image"].astype(np.float32)}

    return LikelihoodPredictor(Dark(), preprocessing, lambda image, net: net(image))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path / "model.pt"


def padded(root: Path) -> Path:
    image, ids = (array[[0] * 6] for array in files.cells())
    path = root / "sample_B_padded_20160501.hdf"
    files.write_cremi(path, ids[:5, :40, :40], image, offset=(40.0, 16.0, 8.0))
    return path


def test_blocks_are_the_part_that_has_labels_standardised_as_a_whole(tmp_path: Path, weights: Path) -> None:
    image = files.cells()[0][[0] * 5, 4:44, 2:42].astype(np.float64)
    parts = cremi_volumes(padded(tmp_path))
    settings = {"block_size": (3, 16, 16), "halo": (1, 2, 2), "progress": False}
    segment = LikelihoodSegmentation(0.4, min_size=5)
    (path,) = predict_volumes_by_blocks(EmVolumes(parts), predictor(), tmp_path / "out", weights, segment, **settings)
    assert path.name == "sample_B.zarr"
    (found,) = zarr_volumes(path)
    likelihood = 1 / (1 + np.exp(4 * (image - image.mean()) / image.std() + 2))
    np.testing.assert_allclose(found.image.read(), likelihood, atol=1e-4)
    assert (found.spacing, found.origin) == ((40.0, 4.0, 4.0), (40.0, 16.0, 8.0))
    whole, ids = segment(found.image.read()), found.labels.read()
    assert len(np.unique(np.stack([whole.ravel(), ids.ravel()]), axis=1).T) == whole.max() + (whole == 0).any()
    assert ids.max() == whole.max() > 3
    held = [part for part in fold_volumes(parts, 1, 5) if part.split == "validation"]
    (path,) = predict_volumes_by_blocks(EmVolumes(held), predictor(), tmp_path / "out", weights, segment, **settings)
    (one,) = zarr_volumes(path)
    assert (path.name, one.image.shape, one.origin) == ("sample_B_001-001.zarr", (1, 40, 40), (80.0, 16.0, 8.0))


def test_other_weights_do_not_continue_a_run_and_nothing_is_replaced(tmp_path: Path, weights: Path) -> None:
    parts = cremi_volumes(padded(tmp_path))
    broken = LikelihoodPredictor(Dark(), dict, lambda image, net: net(image) * float("nan"))
    with pytest.raises(ValueError, match="network must return finite values"):
        predict_volumes_by_blocks(EmVolumes(parts), broken, tmp_path, weights, progress=False)
    weights.write_bytes(b"others")
    with pytest.raises(ValueError, match=r"model must be .* as in the unfinished run"):
        predict_volumes_by_blocks(EmVolumes(parts), predictor(), tmp_path, weights, progress=False)
    weights.write_bytes(b"weights")
    predict_volumes_by_blocks(EmVolumes(parts), predictor(), tmp_path, weights, progress=False)
    before = (tmp_path / "sample_B.zarr" / ".zattrs").stat().st_mtime_ns
    weights.write_bytes(b"others")
    predict_volumes_by_blocks(EmVolumes(parts), predictor(), tmp_path, weights, progress=False)
    assert (tmp_path / "sample_B.zarr" / ".zattrs").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="blocks must be predicted by a 3D network, got a 2D one"):
        predict_volumes_by_blocks(EmSlices(parts), predictor(), tmp_path, weights)
    with pytest.raises(ValueError, match="connectivity must be 1 in blocks, which are joined at faces, got 2"):
        predict_volumes_by_blocks(
            EmVolumes(parts), predictor(), tmp_path / "x", weights, LikelihoodSegmentation(connectivity=2)
        )


def test_objects_go_on_through_the_slices_when_they_are_linked(tmp_path: Path) -> None:
    image, ids = files.cells()
    files.write_cremi(tmp_path / "sample_A_1.hdf", ids[[0, 0, 0, 3, 3]], image[[0, 0, 0, 3, 3]])
    items = items_of_split(cremi_volumes(tmp_path), "all")
    predict = LikelihoodPredictor(
        Dark(), lambda item: {"image": (item["image"] - 120) / 60}, lambda image, net: net(image)
    )
    predict_volumes(items, predict, tmp_path / "a", formats=["zarr"], progress=False)
    predict_volumes(items, predict, tmp_path / "b", formats=["zarr"], progress=False, link=0.5)
    apart, linked = (zarr_volumes(tmp_path / name / "sample_A.zarr")[0].labels.read() for name in "ab")
    np.testing.assert_array_equal(linked, link_slices(apart))
    assert len(np.unique(linked)) < 0.6 * len(np.unique(apart))
    np.testing.assert_array_equal(linked[0], linked[2])
    with pytest.raises(ValueError, match="link must be null for volumes, whose objects are whole already, got"):
        predict_volumes(items_of_split(cremi_volumes(tmp_path), "all", 3), predict, tmp_path / "c", link=0.5)
