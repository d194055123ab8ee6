"""Hand-made faults in the search for the weight of the boundary term."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

POLICY, KILL, HANDLER, STATE = (f"weight_search/test_{name}.py" for name in ("policy", "kill", "handler", "state"))
_S, _P, _J = (f"weight_search/{name}.py" for name in ("search", "plan", "journal"))
_M, _H, _L = "weight_search/saved_state.py", "weight_search/handler.py", "losses/boundary_f1_iou.py"
WEIGHT_SEARCH = [
    Mutant("the last of equal scores wins", _J, "return max(numbers,", "return max(numbers[::-1],", POLICY),
    Mutant("the lowest score wins", _J, "return max(numbers,", "return min(numbers,", POLICY),
    Mutant("NaN wins", _J, "if not math.isnan(score)]", "]", POLICY),
    Mutant("NaN scores forgotten by the journal", _J, "None if math.isnan(s) else s for s", "0.0 if math.isnan(s) else s for s", POLICY),
    Mutant("other settings accepted", _J, "if settings.get(name) != value:", "if False:", KILL),
    Mutant("changed journal accepted", _J, 'if digest == _digest(content) else', 'if digest else', KILL),
    Mutant("foreign journal accepted", _J, 'if content["format"] != _FORMAT else ""', 'if False else ""', KILL),
    Mutant("state files of all candidates have one name", _J, "_tried{tried}.pt", "_tried0.pt", KILL),
    Mutant("trials longer than the training", _P, "min(self.trial, self.max_epochs - epoch)", "self.trial", POLICY),
    Mutant("search one epoch late", _P, "(epoch - self.first) % self.every:", "(epoch - self.first - 1) % self.every:", POLICY),
    Mutant("repeated candidates accepted", _P, " or len(set(self.candidates)) < len(self.candidates)", "", POLICY),
    Mutant("training without a search accepted", _P, "<= self.first:\n", "< 0:\n", POLICY),
    Mutant("trial longer than the period accepted", _P, "if check_count(\"trial\", self.trial, 1) > self.every:", "if False:", POLICY),
    Mutant("weights of the first search kept for good", _P, "return kept[-1]", "return kept[0]", POLICY),
    Mutant("bar counts one candidate", _P, "self.max_epochs + (len(self.candidates) - 1) * sum", "self.max_epochs + 0 * sum", POLICY),
    Mutant("schedule before the search not checked", _P, '        for weight in self.before:\n            check_fraction("the boundary weight of before", weight)\n', "", POLICY),
    Mutant("last candidate goes on", _S, 'journal.files = {"current": journal.files["best"]}', 'journal.files = {"current": journal.files["current"]}', POLICY),
    Mutant("next candidate starts where the last ended", _S, 'entry.start, journal.files["start"]', 'entry.start, journal.files["current"]', POLICY),
    Mutant("state of the start not loaded", _S, "        self._write()\n        self._load()\n", "        self._write()\n        self._set_weight()\n", POLICY),
    Mutant("weight set one epoch late", _S, "            self._save()\n        self._set_weight()\n", "            self._save()\n", POLICY),
    Mutant("infinite score accepted", _P, "if math.isinf(number):", "if False:", POLICY),
    Mutant("score out of turn accepted", _S, "        if not self.awaits_score:\n", "        if False:\n", POLICY),
    Mutant("candidates that all diverged go on", _S, "if not entry.open and entry.best is None:", "if False:", POLICY),
    Mutant("end of a trial not saved", _S, "if self.awaits_score or self._next_round() or", "if self._next_round() or", POLICY),
    Mutant("start of a search not saved", _S, "if self.awaits_score or self._next_round() or", "if self.awaits_score or", POLICY),
    Mutant("the run begins anew after a kill", _S, "if (self.folder / _JOURNAL).exists():", "if False:", KILL),
    Mutant("states without a journal removed", _S, "        if others:\n", "        if False:\n", KILL),
    Mutant("files of a kill left behind", _S, "        self._clean()  # what a kill left behind\n", "", KILL),
    Mutant("state needed later removed", _S, "if path.name not in known:", "if path.name != self._journal.files['current'][0]:", KILL),
    Mutant("several processes accepted", _S, "distributed.get_world_size() > 1", "distributed.get_world_size() > 2", KILL),
    Mutant("states written in place", _M, 'part = path.with_name(f".{path.name}.part")', "part = path", KILL),
    Mutant("digest not compared", _M, "or file_digest(path) != digest:", "or False:", KILL),
    Mutant("Python's generator not saved", _M, '        "python": (random.getstate, random.setstate),\n', "", f"{POLICY} {KILL}"),
    Mutant("NumPy's generator not restored", _M, "np.random.set_state),", "lambda state: None),", f"{POLICY} {KILL}"),
    Mutant("torch's generator not restored", _M, "(torch.get_rng_state, torch.set_rng_state)", "(torch.get_rng_state, lambda state: None)", f"{POLICY} {KILL}"),
    Mutant("generators inside transforms not found", _M, "found |= _holders(", "_ = _holders(", STATE),
    Mutant("generator of a transform not restored", _M, "            holders[path].R = generators[index]\n", "            pass\n", f"{POLICY} {STATE}"),
    Mutant("shared generators of transforms told apart", _M, "holders[path].R = generators[index]", "holders[path].R = __import__('copy').deepcopy(generators[index])", STATE),
    Mutant("half-written states left behind", _M, "            part.unlink(missing_ok=True)\n", "            pass\n", KILL),
    Mutant("trainer's epoch goes on", _H, "engine.state.epoch = self.search.epoch\n", "pass\n", HANDLER),
    Mutant("trainer's iteration goes on", _H, "engine.state.iteration = self.search.epoch * engine.state.epoch_length", "pass", HANDLER),
    Mutant("search acts before the other handlers", _H, "engine.add_event_handler(Events.STARTED, self)", "engine.add_event_handler(Events.STARTED, self)\n        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch)\n        engine.add_event_handler(Events.EPOCH_STARTED, self._renew_loader)\n        self._attached = engine", HANDLER),
    Mutant("loader not renewed", _H, "engine.set_data(engine.state.dataloader)", "pass", HANDLER),
    Mutant("scaler not saved", _H, 'self.search.register("trainer.scaler", _Scaler(engine))', "pass", HANDLER),
    Mutant("validation not caught up", _H, "        if self.search.awaits_score:\n            self.search.add_score(self._evaluate())\n        engine.state.epoch", "        if engine.state.epoch > 0 and self.search.awaits_score:\n            self.search.add_score(self._evaluate())\n        engine.state.epoch", HANDLER),
    Mutant("number of epochs not compared", _H, "if engine.state.max_epochs != self.search.plan.max_epochs:", "if False:", HANDLER),
    Mutant("unknown score taken for 0", _H, "if name not in state.metrics:", "if False:", HANDLER),
    Mutant("weights of a schedule swapped", _L, "        _, self.weight = values\n", "        self.weight, _ = values\n", HANDLER),
    Mutant("weights of the loss swapped", _L, "return 1 - self.weight, self.weight", "return self.weight, 1 - self.weight", HANDLER),
]  # fmt: skip
