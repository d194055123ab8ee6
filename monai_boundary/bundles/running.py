"""Running a bundle by its name: MONAI's ``bundle run``, with names for paths and reasons for tracebacks."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_boundary._words import counted
from monai_boundary.bundles import bundle_folder
from monai_boundary.datasets.checks import import_extra

__all__ = ["bundle_parser", "parse_settings", "reason_of", "run_bundle", "say_kept"]

_WHOLE = ("train", "inference")  # the others change train.json
_OF_MONAI = {"run_id", "init_id", "final_id", "meta_file", "logging_file", "tracking"}
#: What MONAI puts around the error of a component or of a transform.
_WRAPPED = re.compile(r"Failed to (instantiate|evaluate)|applying transform")


def parse_settings(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the names of configurations and the settings of a command line, read as ``python -m monai.bundle`` does.

    Raises:
        ImportError: The extra `bundle` is not installed.
        ValueError: A setting has no value.
    """
    first = next((at for at, text in enumerate(arguments) if text.startswith("--")), len(arguments))
    names, rest, settings = list(arguments[:first]), list(arguments[first:]), {}
    parse = import_extra("fire", "bundle", "bundles").parser.DefaultParseValue
    while rest:
        key, equals, value = rest.pop(0).removeprefix("--").partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise ValueError(f"--{key} must be followed by its value, got {rest[0] if rest else 'nothing'}")
            value = rest.pop(0)
        settings[key] = parse(value)
    return names, settings


def run_bundle(bundle: str, configs: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Run a bundle as ``python -m monai.bundle run`` does.

    Args:
        bundle: Name, or the folder of a copy; outputs go into the copy then, else into a new folder of that name.
        configs: Names of its configurations, such as ``["train", "small"]``, or paths of others. Those beside
            ``"train"`` and ``"inference"`` change ``"train"``, which need not be said: ``["evaluate"]``.
        settings: Entries to change, such as ``{"max_epochs": 3, "network_def#channels": [8, 16, 32, 64]}``.

    Raises:
        ImportError: The extra `bundle` is not installed.
        ValueError: There is no such bundle, configuration or entry.
        Exception: Whatever the run raises, see `reason_of`.
    """
    import_extra("ignite", "bundle", "bundles")
    from monai.bundle import run

    folder, files, root = _find(bundle, configs)
    _check_entries(files, settings)
    with _short_log():
        run(config_file=[str(file) for file in files], **{
            "meta_file": str(folder / "configs" / "metadata.json"),
            "logging_file": str(folder / "configs" / "logging.conf"), **root, **settings,
        })  # fmt: skip


def bundle_parser(bundle: str, configs: Sequence[str], settings: Mapping[str, Any]) -> Any:
    """Return MONAI's parser of a run, of which nothing has been made yet; arguments and errors of `run_bundle`."""
    import_extra("ignite", "bundle", "bundles")
    from monai.bundle import ConfigParser

    _, files, root = _find(bundle, configs)
    _check_entries(files, settings)
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser.update({**root, **settings})
    return parser


def reason_of(error: BaseException) -> str:
    """Return what went wrong, without what MONAI and the processes of the data loader put around it."""
    while error.__cause__ is not None and _WRAPPED.match(str(error)):
        error = error.__cause__
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if "Traceback (most recent call last)" in text:  # of another process
        text = re.sub(r"^\w+(Error|Exception): ", "", text.strip().splitlines()[-1])
    return text or type(error).__name__


def _find(bundle: str, configs: Sequence[str]) -> tuple[Path, list[Path], dict[str, str]]:
    """Return the folder of a bundle, the files of configurations, and where outputs go if not to the default."""
    is_copy = (Path(bundle) / "configs").is_dir()
    folder = Path(bundle) if is_copy else bundle_folder(bundle)
    return folder, _config_files(folder / "configs", configs), {"bundle_root": str(folder)} if is_copy else {}


def _config_files(folder: Path, configs: Sequence[str]) -> list[Path]:
    known = {path.stem: path for path in sorted(folder.glob("*.json")) if path.stem != "metadata"}
    names = list(configs) if configs and configs[0] in _WHOLE else ["train", *configs] if configs else []
    unknown = [name for name in names if name not in known and not Path(name).is_file()]
    if unknown or not names:
        raise ValueError(
            f"configurations must be of {', '.join(known)}, or files, got {', '.join(unknown) or 'none'}; such as train"
        )
    return [known.get(name, Path(name)) for name in names]


def _check_entries(files: Sequence[Path], settings: Mapping[str, Any]) -> None:
    """Refuse to set an entry that nothing reads: MONAI would take it, and train with the default."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for key in settings:
        outer = key.rpartition("#")[0] or key  # what is inside an entry may be new, such as optimizer#weight_decay
        if outer not in parser and key not in _OF_MONAI:
            near = difflib.get_close_matches(outer, list(parser.get()), 1)
            names = ", ".join(file.name for file in files)
            raise ValueError(f"--{key} must be an entry of {names}, got none of this name"
                             + (f"; did you mean --{near[0]}?" if near else ""))  # fmt: skip


@contextmanager
def _short_log() -> Iterator[None]:
    """Keep tracebacks out of the log: Ignite and MONAI write one for every engine that an error goes through."""
    factory = logging.getLogRecordFactory()

    def without_traceback(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.exc_info = None
        return record

    logging.setLogRecordFactory(without_traceback)
    try:
        yield
    finally:
        logging.setLogRecordFactory(factory)


def say_kept(count: int, thing: str, folder: object) -> None:
    """Say how many results of an earlier run in `folder` stay as they are."""
    print(f"kept {counted(count, thing)} of an earlier run in {folder}; overwrite=True replaces")
