"""Laws of the schedules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_boundary import Constant, Increase, Rebalance, WaitForRegion, Warmup

weights = st.floats(0, 5)
paces = st.none() | st.integers(1, 300)
runs = st.integers(1, 300)
ramps = st.tuples(weights, weights, paces).map(lambda t: (min(t[:2]), max(t[:2]), t[2]))
plain = st.one_of(
    st.builds(Constant, weights, weights),
    ramps.map(lambda t: Increase(*t)),
    st.tuples(ramps, st.floats(0, 1)).map(lambda t: Rebalance(t[0][0], t[0][1], t[1], t[0][2])),
)
histories = st.lists(st.floats(-1, 1), min_size=60, max_size=60)
waits = st.builds(WaitForRegion, plain, st.integers(1, 8), st.floats(0, 0.5), st.floats(0, 1))


@given(ramps, st.floats(0, 1), runs, st.integers(0, 400))
def test_ramps_stay_within_their_ends(ramp, floor, max_epochs, epoch):
    start, end, pace = ramp
    for schedule in (Increase(start, end, pace), Rebalance(start, end, floor, pace)):
        region, boundary = schedule.weights(epoch, max_epochs)
        assert start - 1e-12 <= boundary <= end + 1e-12
        assert floor <= region <= 1 or region == 1


@given(plain, runs)
def test_boundary_never_falls_and_region_never_rises(schedule, max_epochs):
    course = [schedule.weights(epoch, max_epochs) for epoch in range(max_epochs)]
    for (region, boundary), (next_region, next_boundary) in itertools.pairwise(course):
        assert next_boundary >= boundary - 1e-12
        assert next_region <= region + 1e-12


@given(ramps, st.integers(2, 300))
def test_ramps_begin_at_start_and_end_at_end(ramp, max_epochs):
    start, end, pace = ramp
    schedule = Increase(start, end, pace)
    assert schedule.weights(0, max_epochs)[1] == start
    assert schedule.weights((pace or max_epochs) - 1 if pace != 1 else 0, max_epochs)[1] == pytest.approx(
        start if pace == 1 else end
    )


@given(plain, runs, st.integers(0, 400))
def test_same_epoch_asked_twice_gives_the_same_weights(schedule, max_epochs, epoch):
    assert schedule.weights(epoch, max_epochs) == schedule.weights(epoch, max_epochs)


@given(ramps, st.integers(1, 300), runs, runs, st.integers(0, 400))
def test_pace_makes_the_length_of_the_run_irrelevant(ramp, pace, first, second, epoch):
    schedule = Rebalance(ramp[0], ramp[1], pace=pace)
    assert schedule.weights(epoch, first) == schedule.weights(epoch, second)


@given(ramps, runs, st.integers(0, 400))
def test_rebalance_takes_from_the_region_what_the_boundary_gains(ramp, max_epochs, epoch):
    region, boundary = Rebalance(*ramp[:2], floor=0.0, pace=ramp[2]).weights(epoch, max_epochs)
    assert region == pytest.approx(max(0.0, 1 + ramp[0] - boundary))


@given(plain, st.integers(0, 50), st.integers(51, 300))
def test_warm_up_is_the_schedule_shifted(schedule, epochs, max_epochs):
    warm = Warmup(epochs, schedule)
    assert all(warm.weights(epoch, max_epochs) == (1.0, 0.0) for epoch in range(epochs))
    for epoch in range(epochs, max_epochs, 7):
        assert warm.weights(epoch, max_epochs) == schedule.weights(epoch - epochs, max_epochs - epochs)


@given(waits, histories, st.integers(1, 60), st.integers(0, 59))
def test_resumed_wait_equals_an_unbroken_one(schedule, history, max_epochs, epoch):
    assert schedule.weights(epoch, max_epochs, history) == schedule.weights(epoch, max_epochs, history[:epoch])


@given(waits, histories, st.integers(2, 60))
def test_wait_has_the_region_alone_and_then_the_schedule(schedule, history, max_epochs):
    first = schedule.start_epoch(max_epochs, history)
    assert first is not None
    assert first <= round(schedule.latest * max_epochs)
    for epoch in range(max_epochs):
        expected = (1.0, 0.0) if epoch < first else schedule.then.weights(epoch - first, max(1, max_epochs - first))
        assert schedule.weights(epoch, max_epochs, history) == expected
