"""Faults of the transforms: whose map, in which units, along which axes, at which place."""

import numpy as np

from tests.faults.registry import fault

CARRIED = ("transforms/test_carried_maps.py",)
MAPS = ("transforms/test_distance_map.py",)
SPACING = ("transforms/test_spacing.py",)
BAND = ("transforms/test_boundary_band.py",)
SEEDS = ("transforms/test_region_seeds.py",)
KINDS = ("transforms/test_kinds_and_keys.py",)
STORED = ("precompute/test_transform.py",)
TRANSFORMS = "monai_boundary.transforms"


@fault("monai_boundary._geometry:affine_spacing", *SPACING)
def spacing_comes_from_the_rows_of_the_affine(right, affine, *rest):
    turned = np.array(affine, float)
    turned[:-1, :-1] = turned[:-1, :-1].T
    return right(turned, *rest)


@fault("monai_boundary._geometry:affine_spacing", *SPACING)
def spacing_is_in_the_order_of_another_reader(right, *args, **kwargs):
    return right(*args, **kwargs)[::-1]


@fault("monai_boundary._geometry:batch_spacing", *SPACING, "losses/test_boundary_loss.py")
def every_sample_has_the_spacing_of_the_first(right, images, ndim):
    return None if (found := right(images, ndim)) is None else found[:1] * len(found)


@fault(f"{TRANSFORMS}.distance_map:record_map", *CARRIED, *MAPS)
def a_map_does_not_say_how_it_was_made(right, *args):
    return None


@fault(f"{TRANSFORMS}.distance_map:recorded_options", "losses/test_map_agreement.py")
def a_batch_has_the_options_of_its_first_map(right, maps):
    return set(list(right(maps[:1] if maps.ndim > 4 else maps))[:1])


@fault(f"{TRANSFORMS}.distance_map:SignedDistanceMap._maps_of_masks", *MAPS)
def overlapping_masks_become_one_label_map(right, self, values, spacing):
    first = np.asarray(values).argmax(0)
    return right(self, np.stack([first == label for label in range(len(values))]), spacing)


@fault("monai_boundary._check:check_onehot", *BAND)
def fractional_masks_are_cut_off(right, channels):
    return right(channels.astype(np.uint8))


@fault(f"{TRANSFORMS}.twins:DictionaryTwin.__call__", *KINDS)
def every_key_gets_the_map_of_the_first(right, self, data):
    return right(self, {**data, **{key: data[self.keys[0]] for key in self.keys if key in data}})


@fault(f"{TRANSFORMS}.twins:DictionaryTwin.__call__", *KINDS)
def the_sample_of_the_caller_is_written_into(right, self, data):
    return data.update(right(self, data)) or data


@fault(f"{TRANSFORMS}.boundary_band:BoundaryBand._masks", *BAND)
def the_band_of_the_background_takes_the_place_of_the_first_class(right, self, array):
    return (lambda masks, valid: (masks[::-1].copy(), valid))(*right(self, array))


@fault(f"{TRANSFORMS}.region_seeds:RegionSeeds._seeds", *SEEDS)
def seeds_come_from_the_regions_before_the_membrane(right, self, ids, *rest):
    width, self.membrane_width = self.membrane_width, 0
    try:
        seeds = right(self, ids, *rest)[0]
    finally:
        self.membrane_width = width
    return seeds, right(self, ids, *rest)[1]


@fault(f"{TRANSFORMS}.region_seeds:RegionSeeds._ids", *SEEDS)
def what_nobody_labelled_is_membrane(right, self, labels):
    return right(self, labels)[0], np.zeros(labels.shape, bool)


@fault("monai_boundary.kernels.regions:near_other_regions", *SEEDS, "datasets/em/test_items.py")
def there_is_membrane_beside_what_nobody_labelled(right, regions, width, spacing=None, unlabelled=None):
    return right(regions, width, spacing)


@fault(f"{TRANSFORMS}.region_seeds:RegionSeeds.__call__", *SEEDS)
def slices_take_the_spacing_across_them(right, self, labels):
    given = self.spacing
    if self.slice_axis is not None and given is not None:
        self.spacing = tuple(np.roll(given, 1))
    try:
        return right(self, labels)
    finally:
        self.spacing = given


@fault(f"{TRANSFORMS}.region_seeds:RegionSeedsd.__call__", *SEEDS, *KINDS)
def seeds_and_membrane_change_places(right, self, data):
    return (lambda d: {**d, self.seeds_key: d[self.membrane_key], self.membrane_key: d[self.seeds_key]})(
        right(self, data)
    )


@fault(f"{TRANSFORMS}.rescale:_scaled", *CARRIED)
def a_clip_moves_with_the_zoom(right, maps, factor):
    return maps * factor


@fault(f"{TRANSFORMS}.rescale:RescaleDistanceMap.__call__", *CARRIED)
def a_map_is_rescaled_twice(right, self, maps):
    before = dict(getattr(maps, "meta", {}))
    result = right(self, maps)
    result.meta.update(before)
    return result


@fault(f"{TRANSFORMS}.precomputed:_place", *STORED)
def a_flipped_sample_gets_the_map_unflipped(right, *args):
    return (lambda axes, signs, start, shape: (axes, np.abs(signs), start, shape))(*right(*args))


@fault(f"{TRANSFORMS}.precomputed:_place", *STORED)
def a_turned_sample_gets_the_map_turned_the_other_way(right, *args):
    axes, signs, start, shape = right(*args)
    return [axes.index(axis) for axis in range(len(axes))], signs, start, shape


@fault(f"{TRANSFORMS}.precomputed:_place", *STORED)
def every_crop_gets_the_map_of_the_first_corner(right, *args):
    return (lambda axes, signs, start, shape: (axes, signs, [0] * len(start), shape))(*right(*args))


@fault(f"{TRANSFORMS}.precomputed:PrecomputedDistanceMapd.read", *STORED)
def labels_that_changed_since_are_not_noticed(right, self, *args):
    self.check_source = False
    return right(self, *args)


@fault(f"{TRANSFORMS}.precomputed:PrecomputedDistanceMapd.read", *STORED)
def every_sample_gets_the_map_of_the_first_patient(right, self, labels, case=None):
    file = str(labels.meta.get("filename_or_obj") or "")
    self.first = getattr(self, "first", case if case is not None else self.store.case_of(file))
    self.check_source = False
    return right(self, labels, self.first)


@fault("monai_boundary.transforms.lesion_cells:LesionCells.__call__", "transforms/test_lesion_cells.py")
def cells_take_the_spacing_argument_for_voxels(right, self, labels):
    self.spacing = None if self.spacing is None else (1.0,) * len(self.spacing)
    return right(self, labels)


@fault("monai_boundary._geometry:mm_per_unit", "transforms/test_slices_and_units.py", *STORED)
def every_file_is_in_mm(right, meta):
    return 1.0


@fault("monai_boundary._geometry:_was_tilted", "transforms/test_slices_and_units.py")
def what_turned_a_volume_before_the_cut_is_not_seen(right, *args):
    return False


@fault(f"{TRANSFORMS}.rescale:_stretch", "transforms/test_rescaled_maps.py")
def the_zoom_is_that_between_the_given_spacing_and_the_affine(right, then, now, spacing):
    return spacing, spacing / np.linalg.norm(now[:-1, : len(spacing)], axis=0)
