"""Faults of the schedules."""

from tests.faults.registry import fault

SCHEDULES = ("test_schedules.py", "test_schedule_laws.py")


@fault("monai_boundary.schedules:Rebalance.weights", *SCHEDULES)
def rebalance_swaps_region_and_boundary(right):
    return lambda *args: right(*args)[::-1]


@fault("monai_boundary.schedules:Rebalance.weights", *SCHEDULES)
def rebalance_takes_the_whole_boundary_weight_from_the_region(right):
    return lambda self, *args: (max(self.floor, 1.0 - right(self, *args)[1]), right(self, *args)[1])


@fault("monai_boundary.schedules:WaitForRegion.start_epoch", *SCHEDULES)
def wait_for_region_looks_at_epochs_to_come(right):
    return lambda self, max_epochs, history: right(self, max_epochs, [*history, *history[-1:]])


@fault("monai_boundary.schedules:WaitForRegion.start_epoch", *SCHEDULES)
def wait_for_region_has_no_latest_start(right):
    return lambda self, max_epochs, history: (
        None if (found := right(self, max_epochs, history)) == round(self.latest * max_epochs) else found
    )
