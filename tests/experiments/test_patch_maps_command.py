"""python -m experiments.patch_maps.command on phantoms: it measures, trains and writes, and goes on where it was."""

from __future__ import annotations

import importlib
import json

import pytest

from experiments.patch_maps.training import ARMS
from monai_boundary.datasets.nifti import write_volume
from monai_boundary.datasets.phantoms import lesion_phantom


@pytest.fixture
def command():
    pytest.importorskip("blosc2", reason="the maps are stored with blosc2")
    pytest.importorskip("matplotlib", reason="the command draws with matplotlib")
    return importlib.import_module("experiments.patch_maps.command")


@pytest.fixture
def data(tmp_path):
    crops, lesions = tmp_path / "Task04_Hippocampus", tmp_path / "ms_lesions"
    for number in range(5):
        phantom = lesion_phantom(number, (20, 20, 20), (1.0, 1.0, 1.0))
        labels = phantom.labels.copy()
        labels[:10][labels[:10] == 1] = 2
        for folder, array in (("imagesTr", phantom.image), ("labelsTr", labels)):
            (crops / folder).mkdir(parents=True, exist_ok=True)
            write_volume(crops / folder / f"case_{number}.nii.gz", array, phantom.spacing)
    for number, patient in enumerate(("patient19", "patient07")):
        phantom = lesion_phantom(10 + number, (28, 34, 34), (1.0, 1.0, 1.0))
        (lesions / patient).mkdir(parents=True)
        for name in ("FLAIR", "T1", "T2"):
            write_volume(lesions / patient / f"{name}.nii.gz", phantom.image, phantom.spacing)
        write_volume(lesions / patient / "lesion.nii.gz", phantom.labels, phantom.spacing)
    (lesions / "masks_raw").mkdir()
    phantom = lesion_phantom(20)
    write_volume(lesions / "masks_raw" / "patient01.nii.gz", phantom.labels, phantom.spacing)
    return tmp_path


# MONAI and Ignite, not this package
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_command_measures_trains_and_writes_and_goes_on_where_it_was(command, data, tmp_path, capsys):
    out, docs = tmp_path / "out" / "maps.jsonl", tmp_path / "page.md"
    docs.write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n")
    given = ["--data", str(data), "--quick", "--seeds", "0", "--json", str(out), "--docs", str(docs)]
    command.main([*given, "--parts", "difference", "--data-sets", "ms lesions"])
    first = out.read_text()
    command.main([*given, "--data-sets", "hippocampus"])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert out.read_text().startswith(first)
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("difference", "time", "training")] == [3, 1, 4]
    by_arm = {row["arm"]: row for row in rows if row["data"] == "hippocampus" and row["kind"] == "training"}
    assert tuple(by_arm) == ARMS
    assert [by_arm[arm]["alpha"] for arm in ARMS] == [0.0, 1.0, 1.0, 1.0]
    assert [case["case"] for case in by_arm["volume"]["cases"]] == ["case_0", "case_1"]
    # patches of these cubes hold most of them: the map of the volume may be that of the patch
    assert len({by_arm[arm]["boundary_term"] for arm in ("region", "patch-zero", "patch-far")}) == 3
    text = docs.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| map of the volume | 1 | " in text
    assert (out.parent / "patch_maps_scores.png").stat().st_size > 10_000
    command.main([*given[:-2], "--table"])
    assert len(out.read_text().splitlines()) == 8


def test_data_that_is_not_there_is_named(command, tmp_path):
    with pytest.raises(SystemExit, match=r"--data must hold the data set 'hippocampus', got .*docs/data\.md"):
        command.main(["--data", str(tmp_path), "--parts", "difference", "--json", str(tmp_path / "r.jsonl")])
