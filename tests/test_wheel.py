"""The wheel, installed away from the checkout, holds everything that nnU-Net and the command line need."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIST_TRAINERS = """
import os
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
import monai_boundary, nnunet_trainers
from nnunet_trainers import discovery_folder
from nnunet_trainers.boundary import __all__ as names
folder = str(discovery_folder())
assert "wheel_env" in monai_boundary.__file__ and "wheel_env" in folder, (monai_boundary.__file__, folder)
assert os.path.exists(os.path.join(os.path.dirname(monai_boundary.__file__), "py.typed"))
print(sum(recursive_find_python_class(folder, name, None) is not None for name in names), len(names))
"""


@pytest.mark.cli
def test_wheel_installed_away_from_the_checkout_lists_its_trainers(tmp_path: Path) -> None:
    def run(*command: object) -> str:
        result = subprocess.run(
            [*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
        return result.stdout

    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT)
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "wheel_env")
    python = tmp_path / "wheel_env" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    wheel = next((tmp_path / "dist").glob("*.whl"))
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", site, wheel)
    # the dependencies are gigabytes: borrow them, behind the wheel's own site-packages
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    found, expected = run(python, "-c", LIST_TRAINERS).split()[-2:]
    assert found == expected
    path = run(python, "-m", "monai_boundary.cli", "nnunet-path").strip()
    assert Path(path).is_dir()
    assert Path(path).is_relative_to(site)
