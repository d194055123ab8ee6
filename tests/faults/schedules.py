"""Faults of the schedules."""

from tests.faults.registry import fault

SCHEDULES = ("test_schedules.py", "test_schedule_laws.py")


@fault("monai_boundary.schedules:Rebalance.weights", *SCHEDULES)
def runs_one_epoch_early(right):
    return lambda self, epoch, *rest: right(self, epoch + 1, *rest)


@fault("monai_boundary.schedules:Rebalance.weights", *SCHEDULES)
def returns_boundary_and_region_swapped(right):
    return lambda *args: right(*args)[::-1]
