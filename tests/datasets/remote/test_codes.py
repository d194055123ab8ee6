"""Mask values and colours to labels and back."""

from __future__ import annotations

import re

import numpy as np
import pytest

from monai_boundary.datasets.remote import IGNORE, POTSDAM_CLASSES, MaskCodes, potsdam_codes

COLOURS = np.array(list(POTSDAM_CLASSES.values()), np.uint8)


@pytest.mark.parametrize("nearest", [False, True])
def test_colours_make_the_round_trip(rng: np.random.Generator, nearest: bool) -> None:
    labels = rng.integers(0, 6, (9, 13))
    colours, codes = COLOURS[labels].transpose(2, 0, 1), potsdam_codes(nearest=nearest)
    np.testing.assert_array_equal(codes.decode(colours, "mask"), labels)
    np.testing.assert_array_equal(codes.encode(labels), colours)
    assert codes.decode(colours, "mask").dtype == codes.encode(labels).dtype == np.uint8


def test_black_is_ignored_where_borders_are_black() -> None:
    colours = np.zeros((3, 2, 2), np.uint8)
    colours[2, 0, 0] = 255
    codes = potsdam_codes("no_boundary")
    np.testing.assert_array_equal(codes.decode(colours, "mask"), [[1, IGNORE], [IGNORE, IGNORE]])
    np.testing.assert_array_equal(codes.encode(codes.decode(colours, "mask")), colours)


def test_the_nearest_colour_is_that_of_the_least_distance(rng: np.random.Generator) -> None:
    colours = rng.integers(0, 256, (3, 20, 30)).astype(np.uint8)
    steps = colours.transpose(1, 2, 0)[:, :, None].astype(float) - COLOURS
    truth = np.linalg.norm(steps, axis=-1).argmin(-1)
    np.testing.assert_array_equal(potsdam_codes(nearest=True).decode(colours, "mask"), truth)
    # 60 and 45 apart by the sum of differences, 34.6 and 45 in a straight line
    codes = MaskCodes({(0, 0, 0): 0, (65, 20, 20): 1}, nearest=True)
    assert codes.decode(np.full((3, 1, 1), 20, np.uint8), "mask") == 0


def test_values_are_mapped_and_the_last_of_a_label_is_written() -> None:
    codes = MaskCodes({0: 0, 1: 1, 255: 1})
    np.testing.assert_array_equal(codes.decode(np.array([[[0, 1, 255]]]), "mask"), [[0, 1, 1]])
    np.testing.assert_array_equal(codes.encode(np.array([[0, 1, 1]])), [[[0, 255, 255]]])


def test_an_error_names_the_colours_most_common_first_and_counts_their_pixels() -> None:
    colours = np.zeros((3, 1, 40), np.uint8) + 255
    for number in range(7):  # from 7 pixels of the first down to 1 of the last
        colours[:, 0, : (7 - number) * (8 - number) // 2] = np.array([9 - number, 250, 3])[:, None]
    shown = ", ".join(f"({9 - number}, 250, 3)" for number in range(5))
    with pytest.raises(ValueError, match=rf"mask.tif must .*got {re.escape(shown)} and 2 more at 28 pixels"):
        potsdam_codes().decode(colours, "mask.tif")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: potsdam_codes().decode(np.zeros((3, 1, 3), np.uint8), "mask"),
         r"mask must hold the colours \(255, 255, 255\), .* got \(0, 0, 0\) at 3 pixels; .*nearest=True"),
        (lambda: MaskCodes({0: 0, 1: 1, 255: 1}).decode(np.array([[[0, 7, 7, 9]]]), "mask"),
         r"mask must hold the values 0, 1, 255, got 7, 9 at 3 pixels; .*codes=MaskCodes\("),
        (lambda: MaskCodes({0: 0, 255: 1}).encode(np.array([[3, 3, 1]])), r"of \[0, 1\], got \[3\] at 2 pixels"),
        (lambda: MaskCodes({(1, 2, 3): 4}).encode(np.array([[0, 4]])), r"of \[4\], got \[0\] at 1 pixels"),
    ],
)  # fmt: skip
def test_values_and_labels_without_a_code_are_refused(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
