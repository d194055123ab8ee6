"""MONAI's trainer with the engine glue on two processes, against one process with the batches of both.

Averaging gradients over ranks is the single process only if the loss is a mean over samples of something that each
sample decides alone. The one under test is: generalized Dice is taken per sample, and the boundary term is linear in
its voxels. Dice over the whole batch (``batch=True`` of MONAI's losses) is not: its ratio of sums is another on each
rank.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monai_boundary import Increase, Rebalance
from monai_boundary.losses.gradient_share import GradientBalance
from tests.ddp import worker

REPOSITORY = Path(__file__).resolve().parents[2]
ORDERLY = ("whole", "cut", "wait", "share", "lesions")
EXPECTED = {
    "whole": [Rebalance().weights(epoch, worker.EPOCHS) for epoch in range(worker.EPOCHS)],
    "cut": [Rebalance().weights(epoch, worker.EPOCHS) for epoch in range(worker.EPOCHS)],
    "wait": [(1.0, 0.0), (1.0, 0.0), Increase().weights(0, 1)],
}
# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def start_ranks(folder: Path, *scenarios: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*command, "-m", "tests.ddp.worker", str(folder), *scenarios],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def rows(folder: Path, scenario: str, process: int | str, kind: str) -> list:
    return [json.loads(line) for line in (folder / f"{scenario} {process} {kind}.jsonl").read_text().splitlines()]


def weights(folder: Path, scenario: str, process: int | str) -> list[tuple[float, float]]:
    return [tuple(row) for row in rows(folder, scenario, process, "weights")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scenarios, by two ranks that are started once, and by this process."""
    folder = tmp_path_factory.mktemp("ranks")
    done = start_ranks(folder, *ORDERLY)
    assert done.returncode == 0, done.stdout[-3000:]
    for scenario in ORDERLY:
        worker.train(scenario, folder)
    return folder


@pytest.mark.cli
@pytest.mark.parametrize("scenario", ORDERLY)
def test_two_ranks_train_the_network_of_one_process(trained: Path, scenario: str) -> None:
    single, *ranks = (torch.load(trained / f"{scenario} {process}.pt") for process in ("single", 0, 1))
    torch.manual_seed(1)
    start = worker.network().state_dict()
    for name, value in single.items():
        assert (value - start[name]).abs().max() > 1e-3  # it has learned at all
        for rank in ranks:
            torch.testing.assert_close(rank[name], value, rtol=0, atol=1e-6)


@pytest.mark.cli
@pytest.mark.parametrize("scenario", EXPECTED)
def test_weights_of_each_epoch_are_those_of_the_schedule_on_every_rank(trained: Path, scenario: str) -> None:
    for process in ("single", 0, 1):
        assert weights(trained, scenario, process) == EXPECTED[scenario], process


@pytest.mark.cli
@pytest.mark.parametrize("scenario", ORDERLY)
def test_terms_among_the_metrics_are_the_means_over_both_ranks(trained: Path, scenario: str) -> None:
    for rank in range(2):
        single = rows(trained, scenario, "single", "metrics")
        assert len(single) == worker.EPOCHS
        for row, expected in zip(rows(trained, scenario, rank, "metrics"), single, strict=True):
            # The gradients of a batch in one process are those of a mean over twice the samples.
            gradients = {key: row.pop(key) for key in ("region_gradient", "boundary_gradient") if key in row}
            assert gradients == pytest.approx({key: math.sqrt(2) * expected.pop(key) for key in gradients}, rel=1e-5)
            assert row == pytest.approx(expected, rel=1e-5, abs=1e-9)
            keys = {"region_weight", "alpha", "region_term", "boundary_term"}
            assert set(row) == keys | ({"gradient_share", "foreground_found"} if gradients else set())
            assert bool(gradients) is (scenario == "share")


@pytest.mark.cli
def test_alpha_of_a_share_is_in_every_step_that_of_the_whole_batch_in_one_process(trained: Path) -> None:
    single, *ranks = (rows(trained, "share", process, "steps") for process in ("single", 0, 1))
    assert ranks[0] == ranks[1]  # to the bit, or the ranks would part
    for found, expected in zip(ranks[0], single, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    alphas = [alpha for _, alpha in single]
    assert len(set(alphas)) == len(alphas) == worker.EPOCHS * worker.SAMPLES // 2
    assert min(alphas) > 0


@pytest.mark.cli
def test_norms_of_the_ranks_are_root_mean_squares_and_the_averages_over_those_with_foreground(trained: Path) -> None:
    ranks = [json.loads((trained / f"balance {rank}.json").read_text()) for rank in range(2)]
    assert ranks[0] == ranks[1]
    pooled = [(math.sqrt((9 + 16) / 2), math.sqrt((1 + 4) / 2)), (3.0, 1.0), (1.0, 0.5)]  # NaN without foreground: no
    balance = GradientBalance()
    bounds = [math.inf, math.inf, math.sqrt((4 + 1) / (49 + 0.25))]  # of the whole batch, where there is one
    for row, norms, bound in zip(ranks[0], pooled, bounds, strict=False):
        ratio = min(bound, float(balance(torch.tensor(norms), torch.ones(1), torch.ones(1))[0]))
        assert row[:2] == [pytest.approx(ratio), pytest.approx(balance.norms.tolist())]
    empty, infinite, one = ranks[0][3:]
    kept = float(balance.ratio)
    assert empty[:2] == [pytest.approx(min(kept, math.sqrt((4 + 81) / (49 + 1)))), ranks[0][2][1]]  # no foreground
    assert infinite[:2] == [pytest.approx(kept), ranks[0][2][1]]  # the weight of the batches before
    ratio = float(balance(torch.tensor([1.0, math.sqrt(0.125)]), torch.ones(1), torch.ones(1))[0])
    assert one[:2] == [pytest.approx(ratio), pytest.approx(balance.norms.tolist())]  # one rank alone has a boundary
    assert [row[2] for row in ranks[0]] == pytest.approx([6 / 16, 6 / 8, 6 / 8, 6 / 8, 6 / 8, 6 / 16])


@pytest.mark.cli
def test_a_schedule_among_the_handlers_that_are_cut_leaves_the_second_rank_at_its_first_weights(tmp_path: Path) -> None:
    """What the order of the handlers guards against; the epoch's mean over the ranks then ends the run."""
    done = start_ranks(tmp_path, "alpha last")
    first, second = EXPECTED["cut"][:2]
    assert weights(tmp_path, "alpha last", 0) == [first]
    assert weights(tmp_path, "alpha last", 1)[1] != second
    assert weights(tmp_path, "alpha last", 1) == [(0.99, 0.01)] * 2
    assert done.returncode != 0
    assert not list(tmp_path.glob("*.pt"))
