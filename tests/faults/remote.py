"""Faults of aerial tiles: polygons that become masks, predictions that become polygons."""

import numpy as np

from tests.faults.registry import fault

DRAWN = ("datasets/remote/test_rasterize.py",)
OUTLINES = ("inference/test_polygons.py",)
REMOTE = "monai_boundary.datasets.remote"
POLYGONS = "monai_boundary.inference.polygons"


@fault(f"{REMOTE}.rasterize:_on_grid", *DRAWN)
def polygons_stay_in_their_own_reference_system(right, path, reader, polygons):
    return polygons.shapes


@fault(f"{REMOTE}.rasterize:_strips", *DRAWN)
def every_mask_is_all_touched(right, reader, shapes, all_touched):
    return right(reader, shapes, True)


@fault(f"{REMOTE}.polygons:_check_length", *DRAWN)
def a_shapefile_that_was_cut_off_has_empty_features(right, path):
    return None


@fault(f"{REMOTE}.polygons:_check_coordinates", *DRAWN)
def metres_are_taken_for_degrees(right, *args):
    return None


@fault(f"{REMOTE}.rasterize:_may_touch", *DRAWN)
def masks_are_empty_where_all_polygons_lie_elsewhere(right, *args):
    return True


@fault(f"{POLYGONS}:_square_metres", *OUTLINES)
def areas_are_those_of_the_reference_system(right, shapes, *args):
    import shapely

    return shapely.area(shapes)


@fault(f"{POLYGONS}:_outlines", *OUTLINES)
def holes_are_filled(right, *args):
    import shapely

    return np.array([shapely.Polygon(shape.exterior) for shape in right(*args)], object)


@fault(f"{POLYGONS}:_components", *OUTLINES)
def mean_probabilities_change_places(right, *args):
    ids, means = right(*args)
    return ids, means[::-1]


FORMATS = ("datasets/remote/test_formats.py",)


@fault(f"{REMOTE}.sources:check_chunks", *FORMATS)
def what_is_cut_off_a_png_is_zero(right, path):
    return None


@fault(f"{REMOTE}.sources:gdal_name", *FORMATS)
def an_address_is_a_path_of_the_system(right, path):
    return str(path)


@fault("monai_boundary.bundles.aerial_scaling:_starts", *FORMATS)
def one_corner_stands_for_a_tile(right, side):
    return right(side)[:1]


@fault(f"{REMOTE}.writing:_optimise", "inference/test_geotiff.py")
def predictions_have_no_overviews(right, source, target):
    import shutil

    shutil.copy(source, target)
