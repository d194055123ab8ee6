"""Faults of volumes of electron microscopy: another order of axes, another unit, a chunk that is not noticed."""

import dataclasses

from tests.faults.registry import fault

ZARR = ("datasets/em/test_zarr.py",)
EM = "monai_boundary.datasets.em"


@fault(f"{EM}.zarrs:ZarrArray._selection", *ZARR)
def another_channel_is_read(right, self, part):
    self._fixed = dict.fromkeys(self._fixed, 0)
    return right(self, part)


@fault(f"{EM}.chunks:ChunkFiles.cut_off", *ZARR)
def a_truncated_chunk_is_left_to_the_library(right, self, selection):
    return None


@fault(f"{EM}.chunks:ChunkFiles.__call__", *ZARR)
def chunks_of_n5_are_sought_from_z_on(right, self, index):
    return right(dataclasses.replace(self, reverse=False), index)


@fault(f"{EM}.ngff:_with_units", *ZARR)
def units_are_taken_for_nanometres(right, axes, scale, shift, units):
    return right(axes, scale, shift, ["nm"] * len(units))


@fault(f"{EM}.ngff:_plain", *ZARR)
def sizes_of_n5_are_read_from_z_on(right, folder):
    place = right(folder)
    return place if place.spacing is None else dataclasses.replace(place, spacing=place.spacing[::-1])


@fault(f"{EM}.stored:Stored.check_chunks", *ZARR)
def missing_chunks_are_not_told(right, self):
    return None


@fault(f"{EM}.volume:voxel_offset", *ZARR, "datasets/em/test_lists.py")
def labels_begin_where_the_image_begins(right, *args):
    right(*args)
    return 0, 0, 0
