"""Stored images and single slices have the contour of the 2D image for a surface, whichever way they are stored."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from monai.metrics.utils import get_mask_edges
from scipy import ndimage

from monai_boundary.evaluation import EvaluationSettings, evaluate_folder, write_tables
from monai_boundary.metrics import PROTOCOLS, LesionSettings, score_pair

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

#: Size of a pixel (row, column) in mm, and the thickness of the slice
PIXEL, THICK = (0.7, 1.3), 5.0


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction and a truth: two lesions that are met, one that is missed, one that is false."""
    rows, columns = np.indices((48, 60))

    def disc(row: int, column: int, radius: float) -> np.ndarray:
        return np.hypot(rows - row, columns - column) < radius

    pred = disc(15, 15, 12) | disc(38, 40, 4) | disc(6, 52, 3)
    truth = disc(16, 14, 8) | disc(36, 42, 6) | disc(42, 8, 3)
    return pred.astype(np.uint8), truth.astype(np.uint8)


def stored(root: Path, kind: str) -> tuple[Path, Path]:
    """Write the pair as PNG, or as NIfTI with its one slice along an axis (x, y, z) of the file."""
    for folder, mask in zip(("pred", "truth"), blobs(), strict=True):
        (root / folder).mkdir()
        if kind == "png":
            sitk.WriteImage(sitk.GetImageFromArray(mask), root / folder / "a.png")
            continue
        axis = "xyz".index(kind)
        sizes = np.insert(PIXEL[::-1], axis, THICK)
        nib.save(nib.Nifti1Image(np.expand_dims(mask.T, axis), np.diag([*sizes, 1])), root / folder / "a.nii.gz")
    return root / "pred", root / "truth"


def monai_surface(pred: np.ndarray, truth: np.ndarray, spacing: tuple[float, float]) -> dict[str, float]:
    masks = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (pred, truth)]
    common = {"include_background": True, "spacing": spacing}
    return {
        "hd95_mm": float(compute_hausdorff_distance(*masks, percentile=95, **common)),
        "hausdorff_mm": float(compute_hausdorff_distance(*masks, **common)),
        "average_mm": float(compute_average_surface_distance(*masks, symmetric=True, **common)),
        "surface_dice": float(compute_surface_dice(*masks, [1.0], **common)),
    }


def monai_elements(pred: np.ndarray, truth: np.ndarray, spacing: tuple[float, float]) -> dict[str, float]:
    """Reduce MONAI's subvoxel edges and their lengths as DeepMind's surface-distance does."""
    edges = get_mask_edges(torch.from_numpy(pred), torch.from_numpy(truth), spacing=spacing)
    mine, theirs = (edge.numpy() for edge in edges[:2])
    sides = []
    for own, other, sizes in ((mine, theirs, edges[2]), (theirs, mine, edges[3])):
        sides.append((ndimage.distance_transform_edt(~other, sampling=spacing)[own], sizes.numpy()[own]))
    distances, sizes = (np.concatenate(part) for part in zip(*sides, strict=True))
    percentiles = []
    for distance, size in sides:
        order = np.argsort(distance)
        share = np.cumsum(size[order]) / size.sum()
        percentiles.append(distance[order][np.searchsorted(share, 0.95)])
    return {
        "hd95_mm": max(percentiles),
        "average_mm": np.average(distances, weights=sizes),
        "surface_dice": sizes[distances <= 1].sum() / sizes.sum(),
    }


KINDS = ["png", "x", "y", "z"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_surface_is_the_contour_of_the_image(kind: str, tmp_path: Path) -> None:
    spacing = (1.0, 1.0) if kind == "png" else PIXEL
    (row,) = evaluate_folder(*stored(tmp_path, kind), progress=False).rows
    for name, expected in monai_surface(*blobs(), spacing).items():
        assert row.scores[name] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_surface_elements_are_those_of_the_image(kind: str, tmp_path: Path) -> None:
    spacing = (1.0, 1.0) if kind == "png" else PIXEL
    settings = EvaluationSettings(definition="surface_elements")
    (row,) = evaluate_folder(*stored(tmp_path, kind), settings, progress=False).rows
    for name, expected in monai_elements(*blobs(), spacing).items():
        assert row.scores[name] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("definition", ["voxels", "surface_elements"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_surface_of_a_lesion_is_its_contour(kind: str, definition: str, tmp_path: Path) -> None:
    pred, truth = blobs()
    spacing = (1.0, 1.0) if kind == "png" else PIXEL
    settings = EvaluationSettings("lesions", definition=definition)
    result = evaluate_folder(*stored(tmp_path, kind), settings, progress=False)
    lesions = [row for row in result.rows[0].lesions if row["kind"] == "found"]
    assert len(lesions) == 2
    oracle = monai_surface if definition == "voxels" else monai_elements
    parts, others = (ndimage.label(mask, np.ones((3, 3)))[0] for mask in (truth, pred))
    numbers = [one for one in range(1, 4) if pred[parts == one].any()]
    expected = []
    for one in numbers:
        near = ndimage.binary_dilation(parts == one, np.ones((3, 3)))
        partner = np.isin(others, np.setdiff1d(others[near], [0]))
        expected.append(oracle(partner.astype(np.uint8), (parts == one).astype(np.uint8), spacing))
    key = sorted(expected, key=lambda each: each["hd95_mm"])
    for found, one in zip(sorted(lesions, key=lambda each: each["hd95_mm"]), key, strict=True):
        assert found["hd95_mm"] == pytest.approx(one["hd95_mm"], rel=1e-4)
        assert found["surface_dice"] == pytest.approx(one["surface_dice"], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_protocol_scores_the_stored_image_as_the_array(protocol: str, kind: str, tmp_path: Path) -> None:
    spacing, thick = ((1.0, 1.0), 1.0) if kind == "png" else (PIXEL, THICK)
    limits = (10.0, 100.0)
    settings = {"lesions": LesionSettings(size_limits_mm3=limits)} if protocol == "lesions" else {}
    (row,) = evaluate_folder(*stored(tmp_path, kind), EvaluationSettings(protocol, **settings), progress=False).rows
    if protocol == "lesions":  # volumes are those of the slice with its thickness
        settings["lesions"] = LesionSettings(size_limits_mm3=tuple(limit / thick for limit in limits))
    expected = score_pair(protocol, *blobs(), spacing, **settings)
    if "volume_difference_ml" in expected:
        expected["volume_difference_ml"] *= thick
    assert row.scores == pytest.approx(expected, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_miss_is_the_diagonal_of_the_image(kind: str, tmp_path: Path) -> None:
    pred, truth = stored(tmp_path, kind)
    (file,) = pred.iterdir()
    if kind == "png":
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((48, 60), np.uint8)), file)
    else:
        image = nib.load(file)
        nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), file)
    (row,) = evaluate_folder(pred, truth, progress=False).rows
    sizes = (1.0, 1.0) if kind == "png" else PIXEL
    assert row.scores["hd95_mm"] == pytest.approx(math.hypot(48 * sizes[0], 60 * sizes[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_lesions_of_a_slice_have_their_place_in_space(kind: str, tmp_path: Path) -> None:
    result = evaluate_folder(*stored(tmp_path, kind), EvaluationSettings("lesions"), progress=False)
    lines = pd.read_csv(write_tables(result, tmp_path)["lesions"])
    (missed,) = lines[lines["kind"] == "missed"][["x_mm", "y_mm", "z_mm"]].to_numpy()
    spacing, thick = ((1.0, 1.0), 1.0) if kind == "png" else (PIXEL, THICK)
    place = [8 * spacing[1], 42 * spacing[0]]
    place.insert(2 if kind == "png" else "xyz".index(kind), 0.0)
    np.testing.assert_allclose(missed, place, rtol=1e-6)
    parts, _ = ndimage.label(blobs()[1], np.ones((3, 3)))
    volume = (parts == parts[42, 8]).sum() * math.prod(spacing) * thick
    assert lines[lines["kind"] == "missed"]["volume_mm3"].tolist() == pytest.approx([volume])


def test_two_slices_are_a_volume(tmp_path: Path) -> None:
    pred, truth = (np.stack([mask, mask]) for mask in blobs())
    for folder, mask in (("pred", pred), ("truth", truth)):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(mask.T, np.diag([*PIXEL[::-1], THICK, 1])), tmp_path / folder / "a.nii.gz")
    (row,) = evaluate_folder(tmp_path / "pred", tmp_path / "truth", progress=False).rows
    for name, expected in monai_surface(pred, truth, (THICK, *PIXEL)).items():
        assert row.scores[name] == pytest.approx(expected, rel=1e-5)
