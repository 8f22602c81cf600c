from tests.mutants import Mutant


def _of(name: str, **mistakes: dict[str, str] | tuple[dict[str, str], str]) -> list[Mutant]:
    found = []
    for mistake, edits in mistakes.items():
        edits, blames = edits if isinstance(edits, tuple) else (edits, "y")
        words = mistake.replace("_", " ")
        found.append(Mutant(f"lr_scheduler.{name}", words, edits, blames=blames))
    return found


_LAMBDA = "return self.lr * self.lr_lambda(step)"
_STEP = "self.lr * self.gamma ** (step // self.step_size)"
_MILESTONES = "self.lr * self.gamma ** bisect_right(sorted(self.milestones), step)"
_CONSTANT = "return self.lr * self.factor if step < self.total_iters else self.lr"
_LINEAR = "return self.start_factor + rise * min(step, self.total_iters) / self.total_iters"
_POWER = "self.lr * self._left(step) ** self.power"
_LEFT = "return 1.0 - min(step, self.total_iters) / self.total_iters"
_COSINE = "return (1 + math.cos(math.pi * step / self.T_max)) / 2"
_EASED = "return self.eta_min + (self.lr - self.eta_min) * self._height(step)"
_RESTART = "since, period = since - period, period * self.T_mult"
_FALL = "return self.max_momentum - fall"
_BETTER = 'return metric < goal if self.mode == "min" else metric > goal'
_PLATEAU = "if bad > self.patience:"

MUTANTS = [
    *_of(
        "LambdaLR",
        counts_from_one={_LAMBDA: "return self.lr * self.lr_lambda(step + 1)"},
        forgets_the_rate={_LAMBDA: "return self.lr_lambda(step)"},
        adds_the_factor={_LAMBDA: "return self.lr + self.lr_lambda(step)"},
    ),
    *_of(
        "MultiplicativeLR",
        multiplies_in_step_0={"for t in range(1, step + 1):": "for t in range(step + 1):"},
        the_factor_is_that_of_the_step_before={
            "rate *= self.lr_lambda(t)": "rate *= self.lr_lambda(t - 1)"
        },
        does_not_accumulate={"rate *= self.lr_lambda(t)": "rate = self.lr * self.lr_lambda(t)"},
    ),
    *_of(
        "StepLR",
        decays_a_step_late={_STEP: "self.lr * self.gamma ** ((step - 1) // self.step_size)"},
        decays_smoothly={_STEP: "self.lr * self.gamma ** (step / self.step_size)"},
        decays_linearly={_STEP: "self.lr * self.gamma * (step // self.step_size)"},
    ),
    *_of(
        "MultiStepLR",
        decays_behind_the_milestone={
            _MILESTONES: "self.lr * self.gamma ** bisect_right(sorted(self.milestones), step - 1)"
        },
        counts_a_milestone_once={
            _MILESTONES: "self.lr * self.gamma ** bisect_right(sorted(set(self.milestones)), step)"
        },
        takes_the_milestones_as_sorted={
            _MILESTONES: "self.lr * self.gamma ** bisect_right(self.milestones, step)"
        },
    ),
    *_of(
        "ConstantLR",
        ends_a_step_late={
            _CONSTANT: "return self.lr * self.factor if step <= self.total_iters else self.lr"
        },
        never_ends={_CONSTANT: "return self.lr * self.factor"},
        the_other_way_round={
            _CONSTANT: "return self.lr if step < self.total_iters else self.lr * self.factor"
        },
    ),
    *_of(
        "LinearLR",
        goes_on_behind_the_end={
            _LINEAR: "return self.start_factor + rise * step / self.total_iters"
        },
        ends_a_step_early={
            _LINEAR: "return self.start_factor + rise * min(1, (step + 1) / self.total_iters)"
        },
        starts_at_0={_LINEAR: "return self.end_factor * min(step / self.total_iters, 1)"},
    ),
    *_of(
        "ExponentialLR",
        counts_from_one={"self.lr * self.gamma**step": "self.lr * self.gamma ** (step + 1)"},
        decays_once={"self.lr * self.gamma**step": "self.lr * self.gamma ** min(step, 1)"},
        is_natural={"self.lr * self.gamma**step": "self.lr * 2.718281828 ** (-self.gamma * step)"},
    ),
    *_of(
        "PolynomialLR",
        multiplies_by_the_power={_POWER: "self.lr * self._left(step) * self.power"},
        begins_again={_LEFT: "return 1.0 - step % (self.total_iters + 1) / self.total_iters"},
        is_a_step_behind={
            _LEFT: "return 1.0 - min(max(step - 1, 0), self.total_iters) / self.total_iters"
        },
    ),
    *_of(
        "CosineAnnealingLR",
        stays_at_the_lowest_rate={
            _COSINE: "return (1 + math.cos(math.pi * min(step, self.T_max) / self.T_max)) / 2"
        },
        has_half_the_period={_COSINE: "return (1 + math.cos(2 * math.pi * step / self.T_max)) / 2"},
        adds_eta_min_to_the_whole={_EASED: "return self.eta_min + self.lr * self._height(step)"},
    ),
    *_of(
        "CosineAnnealingWarmRestarts",
        ignores_T_mult={_RESTART: "since, period = since - period, period"},
        restarts_a_step_late={
            "while since >= period:": "while since > period:",
            "if self.T_mult == 1:": "if False:",
        },
        the_period_grows_by_T_mult={
            _RESTART: "since, period = since - period, period + self.T_mult"
        },
    ),
    *_of(
        "CyclicLR",
        the_momentum_rises_with_the_rate=({_FALL: "return self.base_momentum + fall"}, "y 1"),
        falls_as_fast_as_it_rises={
            "(up if self.step_size_down is None else self.step_size_down)": "up"
        },
        halves_in_the_first_cycle_already={"2.0 ** (1 - cycle)": "2.0 ** (-cycle)"},
        exp_range_counts_cycles={"self.gamma**step)": "self.gamma ** (cycle - 1))"},
        scale_fn_gets_the_cycle_always={'cycle if self.scale_mode == "cycle" else step)': "cycle)"},
    ),
    *_of(
        "OneCycleLR",
        the_rise_ends_a_step_late={"float(self.pct_start * n) - 1": "float(self.pct_start * n)"},
        ignores_three_phase={"if not self.three_phase:": "if True:"},
        the_last_rate_is_a_part_of_the_highest={
            "self.lr / self.final_div_factor": "self.max_lr / self.final_div_factor"
        },
        is_always_linear={'if self.anneal_strategy == "cos":': "if False:"},
    ),
    *_of(
        "SequentialLR",
        goes_on_from_the_rate_before={"return schedule(0)": "return schedule.follow(0, rate)"},
        counts_the_steps_of_all={"step - (self.milestones[i - 1] if i else 0)": "step"},
        changes_a_step_late={
            "i = bisect_right(self.milestones, step)": "i = bisect_right(self.milestones, step - 1)"
        },
    ),
    *_of(
        "ChainedScheduler",
        asks_the_last_one_only={
            "for schedule in self.schedulers:": "for schedule in self.schedulers[-1:]:"
        },
        the_other_way_round={
            "for schedule in self.schedulers:": "for schedule in self.schedulers[::-1]:"
        },
        forgets_the_first_step={"for t in range(step + 1):": "for t in range(1, step + 1):"},
    ),
    *_of(
        "ReduceLROnPlateau",
        is_impatient={_PLATEAU: "if bad >= self.patience:"},
        does_not_cool_down={"cooldown, bad = self.cooldown, 0": "cooldown, bad = 0, 0"},
        ignores_min_lr={
            "lower = max(rate * self.factor, self.min_lr)": "lower = rate * self.factor"
        },
        the_threshold_is_always_absolute={'if self.threshold_mode == "rel":': "if False:"},
        an_equal_metric_is_better={
            _BETTER: _BETTER.replace("<", "<=").replace(">", ">="),
        },
    ),
]
