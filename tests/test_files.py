"""Files are whole or not there: `monai_boundary._files`."""

import errno
from pathlib import Path

import pytest

from monai_boundary._files import part_pattern, replacing, write_json, write_text


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("scores.txt", "old")]


def test_folders_on_the_way_are_made_and_go_again_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a" / "b" / "c.txt"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "a" / "b" / "c.json", [1])
    assert (tmp_path / "a" / "b" / "c.json").read_text() == "[\n 1\n]\n"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing(tmp_path / "model") as part:
            part.mkdir()
            (part / content).touch()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["model", "model/new"]


@pytest.mark.parametrize("with_name", [False, True])
def test_a_full_disk_is_reported_with_the_path_that_was_asked_for(tmp_path: Path, with_name: bool) -> None:
    path = tmp_path / "scores.txt"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path) as part:  # noqa: PT012
        named = (str(part),) if with_name else ()
        raise OSError(errno.ENOSPC, "No space left on device", *named)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)


def test_what_a_killed_writer_leaves_is_found_by_its_pattern(tmp_path: Path) -> None:
    with replacing(tmp_path / "map.b2nd") as part:
        part.touch()
        assert list(tmp_path.glob(part_pattern("*.b2nd"))) == [part]
