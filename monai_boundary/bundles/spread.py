"""The inference of a bundle on the workers of Dask: one case is one job."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_boundary._files import is_full
from monai_boundary._jobs import executor, run_jobs
from monai_boundary.bundles.running import bundle_parser, reason_of, run_bundle

__all__ = ["Spread", "predict_on_dask"]

_ALONE = threading.Lock()  # a bundle sets the log and the current folder of its whole process


@dataclass
class Spread:
    """What a run on many workers did."""

    made: list[str] = field(default_factory=list)  # cases whose prediction is there
    lost: list[str] = field(default_factory=list)  # addresses of workers that left during the run


@dataclass(frozen=True)
class Prediction:
    """One case: the share of it alone."""

    case: str
    bundle: str
    configs: tuple[str, ...]
    settings: Mapping[str, Any]
    shard: str
    folder: Path

    def run(self) -> None:
        """Run the bundle for this case, in the folder that paths are relative to."""
        with _ALONE:
            before = Path.cwd()
            os.chdir(self.folder)
            try:
                run_bundle(self.bundle, self.configs, {**self.settings, "shard": self.shard, "logging_file": False})
            except Exception as error:
                cause: BaseException | None = error
                while cause is not None and not is_full(cause):
                    cause = cause.__cause__
                if isinstance(cause, OSError):
                    raise cause from None
                raise ValueError(reason_of(error)) from None
            finally:
                os.chdir(before)


def predict_on_dask(
    address: str, bundle: str, configs: Sequence[str], settings: Mapping[str, Any], progress: bool = True
) -> Spread:
    """Predict every case of a bundle's inference on the workers of Dask.

    The workers have this package, and see model, images and outputs at the same paths. Each loads the model for each
    of its cases. What was finished by a worker that dies stays; its case goes to another.

    Args:
        address: Of the scheduler.
        bundle: See `run_bundle`.
        configs: Beginning with ``"inference"``.
        settings: Of all but `shard`.
        progress: Show a progress bar.

    Raises:
        ImportError: Dask is not installed.
        ValueError: These are no configurations of inference, `shard` is set, or cases could not be predicted; each is
            named with the reason, once the others are done.
        OSError: The disk is full.
    """
    if settings.get("shard") is not None:
        raise ValueError(f"shard must not be given with dask, got {settings['shard']}; Dask has all cases")
    parser = bundle_parser(bundle, configs, settings)
    if "names" not in parser:
        raise ValueError(f"dask must be given with inference alone, got {' '.join(configs)}; training has torchrun")
    names = list(parser.get_parsed_content("names"))
    jobs = [
        Prediction(name, str(bundle), tuple(configs), dict(settings), f"{at}/{len(names)}", Path.cwd())
        for at, name in enumerate(names, start=1)
    ]
    result = Spread()
    with executor(1, address, result.lost) as pool:
        result.made = run_jobs(jobs, pool, progress, "prediction")
    return result
