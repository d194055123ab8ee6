"""Faults of the MONAI engines: what reaches the loss, what is put back, what a resumed run remembers."""

from tests.faults.registry import fault

ENGINES = ("engines/test_engines.py",)
HEADS = ("engines/test_deep_supervision_engine.py",)
DDP = ("ddp/test_ddp.py",)
PACKAGE = "monai_boundary.engines"


@fault(f"{PACKAGE}:RestoreLabelHandler.__call__", *ENGINES)
def the_label_is_not_put_back(right, self, engine):
    return None


@fault(f"{PACKAGE}:RestoreLabelHandler.__call__", *ENGINES)
def the_map_is_put_back_for_the_label(right, self, engine):
    target = engine.state.output["label"]
    if isinstance(target, dict):
        engine.state.output["label"] = list(target.values())[-1]


@fault(f"{PACKAGE}:PrepareBatchTarget.__call__", *ENGINES)
def every_sample_of_a_batch_gets_the_map_of_the_first(right, self, *args, **kwargs):
    image, target = right(self, *args, **kwargs)
    target[self.name] = target[self.name][:1].expand_as(target[self.name])
    return image, target


@fault(f"{PACKAGE}:PrepareBatchTarget.__call__", *ENGINES)
def the_map_stays_on_the_device_of_the_loader(right, self, batchdata, device=None, *args, **kwargs):
    image, target = right(self, batchdata, device, *args, **kwargs)
    made = self.transform is None
    return image, {**target, self.name: batchdata[self.keys[-1]]} if made else target


@fault(f"{PACKAGE}:AlphaScheduleHandler.__call__", *ENGINES)
def the_schedule_runs_one_epoch_late(right, self, engine):
    engine.state.epoch -= 1
    try:
        right(self, engine)
    finally:
        engine.state.epoch += 1


@fault(f"{PACKAGE}:AlphaScheduleHandler.__call__", *ENGINES)
def epochs_that_are_run_again_stay_in_the_history(right, self, engine):
    kept = list(self.history)
    right(self, engine)
    self.history = kept


@fault(f"{PACKAGE}:AlphaScheduleHandler.__call__", *ENGINES)
def a_loss_whose_weights_sum_to_1_gets_the_region_weight(right, self, engine):
    right(self, engine)
    if getattr(self.loss, "mode", None) == "complement":
        self.loss.alpha = 1 - self.loss.alpha


@fault(f"{PACKAGE}:AlphaScheduleHandler.load_state_dict", *ENGINES)
def the_checkpoint_forgets_the_history(right, self, state):
    return None


@fault(f"{PACKAGE}:AlphaScheduleHandler.attach", *ENGINES)
def weights_are_set_once_for_the_whole_run(right, self, engine):
    from ignite.engine import Events

    engine.add_event_handler(Events.EPOCH_STARTED(once=1), self)
    engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
    engine.add_event_handler(Events.EPOCH_COMPLETED, self._close)


@fault(f"{PACKAGE}:_EpochMeans.pop", *ENGINES)
def means_run_on_over_all_epochs(right, self):
    total, count = self.total, self.count
    means = right(self)
    self.total, self.count = total, count
    return means


@fault(f"{PACKAGE}:_EpochMeans.pop", *DDP)
def each_rank_takes_its_own_mean(right, self):
    if self.total is None:
        return []
    means = (self.total / self.count).tolist()
    self.total, self.count = None, 0
    return means


@fault(f"{PACKAGE}:LossTermsHandler._start", *ENGINES)
def the_gradient_share_of_the_first_epoch_is_shown_for_good(right, self, engine):
    return None


@fault(f"{PACKAGE}:LossTermsHandler._measure", *ENGINES, *HEADS)
def measuring_the_share_takes_the_loss_to_pieces(right, self, engine):
    right(self, engine)
    if self.gradient_share:
        self.loss.term_weights = (1.0, 0.0)
