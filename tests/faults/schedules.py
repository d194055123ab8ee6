"""Faults of the schedules."""

from tests.faults.registry import fault

SCHEDULES = ("test_schedules.py", "test_schedule_laws.py")


@fault("monai_boundary.schedules:Rebalance.weights", *SCHEDULES)
def rebalance_swaps_region_and_boundary(right, *args):
    return right(*args)[::-1]


@fault("monai_boundary.schedules:Rebalance.weights", *SCHEDULES)
def rebalance_takes_the_whole_boundary_weight_from_the_region(right, self, *args):
    return (max(self.floor, 1.0 - right(self, *args)[1]), right(self, *args)[1])


@fault("monai_boundary.schedules:WaitForRegion.start_epoch", *SCHEDULES)
def wait_for_region_looks_at_epochs_to_come(right, self, max_epochs, history):
    return right(self, max_epochs, [*history, *history[-1:]])


@fault("monai_boundary.schedules:WaitForRegion.start_epoch", *SCHEDULES)
def wait_for_region_has_no_latest_start(right, self, max_epochs, history):
    return None if (found := right(self, max_epochs, history)) == round(self.latest * max_epochs) else found
