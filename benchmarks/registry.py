"""Every benchmark of the runner, with its targets."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark import LIMIT, Against, Benchmark

__all__ = ["BENCHMARKS", "GROUPS", "SCRIPTS", "Script"]

GROUPS = {
    "maps": "Maps and loss",
    "floor": "Maps against the memory floor",
    "boundary_f1": "Boundary F1 loss",
    "surfaces": "Surface scores",
    "objects": "Scores of objects",
    "barrier": "Minimum-barrier cut and boundary-aware loss",
    "tiles": "Prediction of large tiles",
}
LESIONS, FIB_SEM = "data/ms_lesions/masks_raw", "data/fibsem_gala"


@dataclass(frozen=True)
class Script:
    """A benchmark of another shape: its own command, whose JSON holds records beside its own figures."""

    module: str
    json: str
    docs: str | None = None
    quick: tuple[str, ...] | None = None  # arguments of a quick run, if there is one
    cuda: bool = False


SCRIPTS = {
    "precompute": Script("precompute", "precompute.json", "scale.md", ("--quick",)),
    "nnunet": Script("nnunet_overhead", "nnunet_overhead.json"),
    "gpu": Script("gpu", "gpu.json", quick=("--size", "16"), cuda=True),
}


def _maps() -> list[Benchmark]:
    both = Against("SimpleITK"), Against("ours, edt", 1.5, ours="ours, numba")
    k2 = (Against("monai", 22), Against("scipy", 20), Against("edt.sdf", 4), *both)
    k4 = (Against("monai", 14), Against("scipy", 11), Against("edt.sdf", 2.2), *both)
    large = (Against("monai"), Against("scipy"), Against("edt.sdf"), *both)
    lesions = (Against("scipy", 25, 0.25), Against("edt.sdf"), Against("SimpleITK"))
    cube, small = (128,) * 3, (48,) * 3
    make = "cases_maps:phantom_map"
    return [
        Benchmark("map_k2", "maps", "signed map, 128^3, K=2, both channels", make, (cube, 2, True),
                  (small, 2, True), k2),
        Benchmark("map_k4", "maps", "signed map, 128^3, K=4, foreground only", make, (cube, 4, False),
                  (small, 4, False), k4),
        Benchmark("map_large", "maps", "signed map, 256x256x180, K=2, foreground only", make,
                  ((256, 256, 180), 2, False), ((48, 48, 36), 2, False), large, floor_target=6.0),
        Benchmark("map_lesions", "maps", "signed map of an MS lesion mask, 50 M voxels, clip 20 mm",
                  "cases_maps:lesion_map", (1,), (4,), lesions, (LESIONS,), repeats=3),
        Benchmark("loss", "maps", "loss forward + backward, B=2 C=4 128^3", "cases_losses:boundary_loss", (128,), (48,),
                  (Against("monai", 40, 0.25),), repeats=5),
    ]  # fmt: skip


def _floor() -> list[Benchmark]:
    settings = {"whole": "no clip", "clip": "clip 10 mm", "robust": "robust"}
    return [
        Benchmark(f"floor_{kind}_{key}", "floor", f"{kind}, {setting}", "cases_maps:floor_map",
                  (kind, setting, (256, 256, 180)), (kind, setting, (32, 32, 24)), (Against("edt", 1.5),),
                  ("numba", "edt"), repeats=3, floor_target=6.0, memory=False)
        for kind in ("lesions", "organ", "tissue", "sheet") for key, setting in settings.items()
    ]  # fmt: skip


def _boundary_f1() -> list[Benchmark]:
    found = []
    sizes = {"3d": ((1, 1, 128, 128, 128), (1, 1, 48, 48, 48)), "2d": ((8, 1, 512, 512), (2, 1, 96, 96))}
    for key, theta, target in (("3d", 5, 1.9), ("3d", 9, 6.0), ("2d", 5, 1.0), ("2d", 9, 1.0)):
        full, small = sizes[key]
        given = Against("naive, target given", ours="ours, target given")
        title = "x".join(map(str, (full[0], *full[2:]))) + f", theta {theta}"
        found.append(
            Benchmark(f"boundary_f1_{key}_theta{theta}", "boundary_f1", title, "cases_losses:boundary_f1_loss",
                      (full, theta), (small, theta), (Against("naive", target, 1.3), given))
        )  # fmt: skip
    return found


def _scores() -> list[Benchmark]:
    surfaces = (Against("monai"), Against("monai, four scores", ours="ours, four scores"))
    objects = (Against("scikit-image"),)
    blobs = [
        Benchmark(f"surfaces_{name}", "surfaces", f"128^3, mask fills {percent:g} %", "cases_scores:blob_surfaces",
                  (128, percent), (32, 10.0), surfaces, repeats=5)
        for name, percent in (("sparse", 0.5), ("dense", 10.0))
    ]  # fmt: skip
    boxes, small = ((2, 7, 7),), ((1, 1, 1),)
    return [
        *blobs,
        Benchmark("surfaces_lesions", "surfaces", "MS lesion mask, 50 M voxels", "cases_scores:lesion_surfaces", (1,),
                  (4,), surfaces, (LESIONS,), repeats=3),
        Benchmark("objects_fib_sem", "objects", "FIB-SEM, 1 M voxels", "cases_scores:fib_sem_objects", (1000,), (40,),
                  objects, (FIB_SEM, "h5py", "cc3d")),
        Benchmark("objects_phantom", "objects", "phantom, 49 M voxels, int32", "cases_scores:phantom_objects", boxes,
                  small, objects, ("cc3d",), repeats=3),
        Benchmark("segmentation", "objects", "likelihood to ids, 49 M voxels", "cases_scores:segmentation", boxes,
                  small, (), ("cc3d",), repeats=3),
    ]  # fmt: skip


def _barrier() -> list[Benchmark]:
    pairs, published = "pairs per region, numba", "published C++, another machine"
    plane, volume = (Against(pairs, 60), Against(published, 90)), (Against(pairs, 20),)
    needs = ("numba", "cc3d")
    references = [
        Benchmark(f"cut_{name}", "barrier", f"ISBI 2012 {name}, 512x512", "cases_barrier:reference_cut", (name, 512),
                  (name, 96), plane, (*needs, f"data/isbi2012/reference/{name}.npz"), repeats=5)
        for name in ("mid_02", "mid_05", "early_02", "early_05")
    ]  # fmt: skip
    return [
        *references,
        Benchmark("cut_voronoi_2d", "barrier", "Voronoi cells, 512x512", "cases_barrier:voronoi_cut",
                  ((512, 512), 100), ((96, 96), 12), plane, needs, repeats=5),
        Benchmark("cut_fib_sem", "barrier", "FIB-SEM, 50x100x200", "cases_barrier:fib_sem_cut", (1000,), (64,), volume,
                  (*needs, "h5py", FIB_SEM), repeats=5),
        Benchmark("cut_voronoi_3d", "barrier", "Voronoi cells, 50x100x200", "cases_barrier:voronoi_cut",
                  ((50, 100, 200), 50), ((12, 24, 24), 6), volume, needs, repeats=5),
        Benchmark("threads", "barrier", "loss forward + backward, 4x512x512, 2 threads, lowest wall time",
                  "cases_barrier:threads", (512, 100, 10_000_000), (96, 12, 10_000),
                  (Against("1 thread", 1.7, ours="2 threads"), Against("loop, 1 thread", ours="loop, 2 threads")),
                  needs, repeats=10, clock="wall_s", statistic="min", memory=False),
        Benchmark("training_step", "barrier", "training step of a small U-Net, 1x512x512",
                  "cases_barrier:training_step", (512, 100), (96, 12),
                  (Against("cross-entropy alone", ours="with the term"),), needs, repeats=5),
    ]  # fmt: skip


def _tiles() -> list[Benchmark]:
    rows = {
        "tile_2500": (2_500, 10_000, "convolution", "labels", 0.25),
        "tile_10000": (10_000, 10_000, "convolution", "labels", 0.25),
        "tile_overlap": (10_000, 10_000, "convolution", "labels", 0.5),
        "tile_values": (10_000, 10_000, "convolution", "values", 0.25),
        "tile_network": (600, 10_000, "efficientnet-b0", "labels", 0.25),
    }
    return [
        Benchmark(name, "tiles", "{} x {}, {}, {}, overlap {}".format(*full), "tile_memory:tile", (*full, 512),
                  (150, 200, *full[2:], 64), (Against(LIMIT, memory=1.0),), ("rasterio",), timed=False,
                  limit_mb=2048.0, default=False)
        for name, full in rows.items()
    ]  # fmt: skip


BENCHMARKS = {one.name: one for one in (*_maps(), *_floor(), *_boundary_f1(), *_scores(), *_barrier(), *_tiles())}
