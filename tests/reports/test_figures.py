"""What the pictures show: place, scale, levels and colours."""

import numpy as np
import pytest

from monai_boundary.datasets import lesion_phantom
from monai_boundary.kernels import signed_distance
from monai_boundary.reports import distance_figure, inspect_figure, overlay_figure, save_figure
from monai_boundary.reports._panels import View, lesion_views
from monai_boundary.reports.figures import iso_levels


@pytest.fixture(scope="module")
def case():
    return lesion_phantom(1)


def panels(figure):
    return [ax for ax in figure.axes if ax.images]


def test_the_slices_with_the_most_lesion_are_shown():
    mask = np.zeros((5, 6, 7), bool)
    mask[3, 1:3, 2:5] = True
    mask[1, 4, 0] = True
    assert lesion_views(mask) == [View(0, 3), View(1, 1)]
    assert lesion_views(np.zeros((5, 6, 7), bool)) == [View(0, 2), View(1, 3)]
    assert lesion_views(mask[3:4]) == [View(0, 0)]
    assert lesion_views(mask[:, 1:2]) == [View(1, 0)]
    assert lesion_views(mask[:, :, 2:3]) == [View(2, 0)]
    assert lesion_views(mask[3:4, :, :1]) == [View(0, 0)]


def test_panels_are_to_scale_in_mm_for_anisotropic_voxels(case):
    figure = overlay_figure(case.image, case.labels > 0, case.labels > 0, case.spacing, "c")
    axial, coronal = panels(figure)
    assert axial.images[0].get_extent() == [0, 64, 64, 0]
    assert coronal.images[0].get_extent() == [0, 64, 72, 0]
    assert axial.get_aspect() == coronal.get_aspect() == 1


def test_the_patients_right_is_on_the_left_and_superior_is_up():
    volume = np.zeros((2, 3, 4))
    volume[1, :, 3] = 1  # superior, right
    picture = View(1, 0).take(volume)
    assert picture[0, 0] == 1
    assert picture.sum() == 1


def test_the_title_names_case_dice_and_hd95(case):
    empty = np.zeros(case.labels.shape, bool)
    figure = overlay_figure(case.image, case.labels > 0, empty, case.spacing, "c_007", 0.5, 12.34)
    assert figure.get_suptitle() == "c_007   Dice 0.500   HD95 12.3 mm"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ground truth", "prediction (empty)"]


def test_the_colour_map_of_distances_is_centred_at_zero_and_the_zero_line_is_bold(case):
    distance = signed_distance(case.labels > 0, case.spacing)
    axial = panels(distance_figure(distance, case.spacing))[0]
    norm = axial.images[0].norm
    assert norm.vmin == -norm.vmax
    lines = axial.collections[0]
    widths = dict(zip(lines.levels, lines.get_linewidths(), strict=True))
    assert widths[0.0] == 2.2
    assert all(width < 1 for level, width in widths.items() if level)


@pytest.mark.parametrize(
    ("low", "high", "levels"),
    [
        (-4.5, 52.0, [-4, -2, 0, 10, 20, 30, 40, 50]),
        (-0.5, 10.0, [-0.4, -0.2, 0, 2, 4, 6, 8]),
        (0.0, 0.0, [0]),
    ],
)
def test_iso_levels_are_round(low, high, levels):
    assert iso_levels(np.array([low, high])) == pytest.approx(levels)


def test_an_empty_volume_can_be_drawn():
    empty = np.zeros((1, 8, 9))
    figure = inspect_figure(empty, empty.astype(int), empty, (1.0, 1.0, 1.0), "empty", 1)
    assert len(panels(figure)) == 2


@pytest.mark.parametrize("shape", [(1, 20, 30), (20, 1, 30), (20, 30, 1), (1, 1, 20), (1, 20, 1), (20, 1, 1)])
def test_a_slice_along_any_axis_and_a_row_of_voxels_can_be_drawn(shape, tmp_path):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(size // 3, size // 3 + 6) for size in shape)] = True
    figure = inspect_figure(mask.astype(float), mask.astype(int), signed_distance(mask), (1.0, 1.0, 1.0), "slice", 1)
    picture, distances = panels(figure)
    drawn = np.asarray(picture.images[0].get_array())
    assert sorted(drawn.shape) == sorted(shape)[1:]
    assert drawn.sum() == mask.sum()
    assert save_figure(figure, tmp_path / "out.png").is_file()
    if min(drawn.shape) > 1:
        assert len(distances.collections) > 0


def test_the_inspection_draws_every_class_and_the_map(case, tmp_path):
    labels = case.labels.astype(int)
    labels[:, 32:] *= 2
    distance = signed_distance(labels == 1, case.spacing)
    figure = inspect_figure(case.image, labels, distance, case.spacing, "c", 1)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:3] == ["class 1", "class 2", "surface (0 mm)"]
    assert len(panels(figure)) == 4
    assert save_figure(figure, tmp_path / "out.png").stat().st_size > 20_000


def test_volumes_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"image \(2, 3, 4\), target \(2, 3, 5\)"):
        overlay_figure(np.zeros((2, 3, 4)), np.zeros((2, 3, 5)), np.zeros((2, 3, 4)), (1, 1, 1), "c")


def test_an_unknown_picture_format_is_refused(case, tmp_path):
    figure = distance_figure(signed_distance(case.labels > 0, case.spacing), case.spacing)
    with pytest.raises(ValueError, match=r"out\.bmpx must end in one of .*png.* got '\.bmpx'"):
        save_figure(figure, tmp_path / "out.bmpx")
