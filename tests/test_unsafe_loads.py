"""No file that is read can run code, and no archive writes where it likes: the packages' syntax trees are walked."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("monai_boundary", "nnunet_trainers", "experiments")

#: Calls that are unsafe whatever they are given, by their last names.
NEVER = {
    "eval", "exec", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "joblib.load",
    "cloudpickle.load", "cloudpickle.loads", "marshal.load", "marshal.loads", "shelve.open", "pandas.read_pickle",
    "yaml.load", "yaml.full_load", "yaml.unsafe_load", "tempfile.mktemp", "os.system", "os.popen", "torch.hub.load",
    "torch.jit.load", "load_pickle",
}  # fmt: skip
#: Methods of archives, which follow the names inside of them.
ARCHIVES = {"extractall", "extract", "unpack_archive"}
#: Where a call may stand, and why.
ALLOWED = {
    ("nnunet_trainers/refine.py", "torch.load"): (
        "nnU-Net's own checkpoint, which nnU-Net reads in the same way right before; its name comes from the user"
    ),
    ("experiments/nnunet/workspace.py", "torch.load"): "nnU-Net's own checkpoint, which this experiment wrote",
}


def full_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_unsafe(name: str, call: ast.Call) -> bool:
    """Whether a call of the function `name` may run code that a file holds, or lets a shell read the arguments."""
    given = {keyword.arg: getattr(keyword.value, "value", ...) for keyword in call.keywords}
    return (
        name in NEVER
        or name.rpartition(".")[2] in ARCHIVES
        or (name == "torch.load" and given.get("weights_only") is not True)
        or (name in ("numpy.load", "np.load") and given.get("allow_pickle", False) is not False)
        or given.get("shell", False) is not False
    )


def unsafe_calls(path: Path) -> list[str]:
    """Return the names of the unsafe calls of a file."""
    tree = ast.parse(path.read_text())
    known, found = full_names(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            head, dot, rest = ast.unparse(node.func).partition(".")
            name = known.get(head, head) + dot + rest
            if is_unsafe(name, node):
                found.append(name)
    return found


def test_nothing_that_is_read_can_run_code_and_every_exception_is_needed():
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert len(files) > 200
    assert {(str(path.relative_to(ROOT)), name) for path in files for name in unsafe_calls(path)} == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=flag)",
        "from torch import load as read\nread(path)", "import pickle as p\np.loads(text)", "pickle.Unpickler(file)",
        "np.load(path, allow_pickle=True)", "import numpy\nnumpy.load(path, allow_pickle=flag)", "yaml.load(text)",
        "eval(text)", "exec(text)", "subprocess.run(text, shell=True)", "zipfile.ZipFile(path).extractall(folder)",
        "tarfile.open(path).extract(name)", "shutil.unpack_archive(path)", "tempfile.mktemp()", "os.system(text)",
        "import pandas as pd\npd.read_pickle(path)",
    ],
)  # fmt: skip
def test_each_kind_is_seen(tmp_path, line):
    (tmp_path / "wrong.py").write_text(line)
    assert len(unsafe_calls(tmp_path / "wrong.py")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, map_location='cpu', weights_only=True)", "np.load(path)", "np.load(path, allow_pickle=False)",
        "network.eval()", "yaml.safe_load(text)", "subprocess.run([command])", "pickle.dumps(value)",
    ],
)  # fmt: skip
def test_what_is_safe_is_let_alone(tmp_path, line):
    (tmp_path / "right.py").write_text(line)
    assert not unsafe_calls(tmp_path / "right.py")
