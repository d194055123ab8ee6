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


BLOCKS = ("inference/test_blocks.py",)
INFERENCE = "monai_boundary.inference"
SLICES = ("kernels/test_slices.py",)


@fault(f"{INFERENCE}.blocks:Blocks.faces", *BLOCKS)
def blocks_are_joined_along_two_axes_only(right, self):
    return (face for face in right(self) if face[2][0].stop - face[2][0].start > 1)


@fault(f"{INFERENCE}.blocks:Blocks.inner", *BLOCKS)
def a_block_is_cut_from_its_halo_one_voxel_off(right, self, index):
    z, y, x = right(self, index)
    return z, y, slice(max(0, x.start - 1), x.stop - (x.start > 0))


@fault(f"{INFERENCE}.blocks:join_blocks", *BLOCKS)
def small_objects_are_dropped_before_they_are_joined(right, sizes, pairs, min_size=0):
    offsets, ids = right(sizes, pairs)
    for offset, one in zip(offsets, sizes, strict=True):
        ids[offset + 1 : offset + 1 + len(one)][one < min_size] = 0
    return offsets, ids


@fault(f"{INFERENCE}.block_passes:BlockPasses._mark", *BLOCKS)
def a_pass_marks_the_next_one_as_done(right, self, step, number):
    return right(self, "predict", number)


@fault("monai_boundary.kernels.slices:_largest", *SLICES)
def an_object_goes_on_in_all_that_it_overlaps(right, group, values):
    return right(group, values) | True


@fault("monai_boundary.kernels.slices:continue_objects", *SLICES)
def slices_are_joined_by_their_own_numbers(right, before, ids, min_overlap, last):
    right(before, ids, min_overlap, last)
    return ids.astype("int64"), max(last, int(ids.max()))


@fault("monai_boundary.bundles.em_blocks:_Part.window", "bundles/test_em_blocks.py")
def blocks_are_read_from_the_first_voxel_of_the_image(right, self, part):
    return self.volume.image.window(part)
