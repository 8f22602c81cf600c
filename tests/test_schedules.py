"""Learning-rate schedules: as candidates, one after the other, and what they refuse."""

import subprocess
import sys
import textwrap

import pytest

from npnet.contract import ConfigError
from npnet.optim import lr_scheduler
from npnet.verify import adapt, candidate, run
from npnet.verify.case import Power
from npnet.verify.finding import Verdict

SIMPLE = [
    lr_scheduler.LambdaLR(0.5, Power(0.75)),
    lr_scheduler.MultiplicativeLR(0.5, Power(0.75)),
    lr_scheduler.StepLR(0.5, 2, 0.5),
    lr_scheduler.MultiStepLR(0.5, (0, 3, 3), 0.5),
    lr_scheduler.ConstantLR(0.5, 0.25, 3),
    lr_scheduler.LinearLR(0.5, 0.25, 0.75, 4),
    lr_scheduler.ExponentialLR(0.5, 0.75),
    lr_scheduler.PolynomialLR(0.5, 5, 2.0),
    lr_scheduler.CosineAnnealingLR(0.5, 4, 0.125),
    lr_scheduler.CosineAnnealingWarmRestarts(0.5, 3, 2, 0.125),
    lr_scheduler.CyclicLR(0.25, 1.0, 3),
    lr_scheduler.OneCycleLR(1.0, 30),
]


@pytest.mark.parametrize("schedule", SIMPLE, ids=lambda s: type(s).__name__)
def test_following_leads_to_the_same_rates(schedule):
    rate = schedule.lr
    for step in range(25):
        rate = schedule.follow(step, rate)
        assert abs(rate - schedule(step)) <= (step + 4) * 8 * 2.0**-53 * 1.0


@candidate("lr_scheduler.StepLR")
@adapt.schedule
def right(config, steps):
    return [config["lr"] * config["gamma"] ** (k // config["step_size"]) for k in range(steps)]


@candidate("lr_scheduler.StepLR")
@adapt.schedule
def late(config, steps):
    return [
        config["lr"] * config["gamma"] ** (k // (config["step_size"] + 1)) for k in range(steps)
    ]


@candidate("lr_scheduler.CyclicLR")
@adapt.schedule
def cyclic(config, steps):
    schedule = lr_scheduler.CyclicLR(**config)
    rates = [schedule(k) for k in range(steps)]
    return (
        (rates, [schedule.momentum(k) for k in range(steps)]) if config["cycle_momentum"] else rates
    )


@candidate("lr_scheduler.ReduceLROnPlateau")
@adapt.schedule
def impatient(config, steps, metrics):
    return [config["lr"] * config["factor"] ** k for k, _ in enumerate(metrics)]


def test_a_schedule_of_ones_own_is_held_against_torch():
    assert run([right, cyclic], examples=30).ok
    wrong = run([late, impatient], examples=30)

    assert {(f.layer, f.quantity, f.verdict) for f in wrong.findings} == {
        ("late", "y", Verdict.WRONG),
        ("impatient", "y", Verdict.WRONG),
    }


def test_the_script_of_a_finding_shows_it(tmp_path):
    file = tmp_path / "mine.py"
    source = """
        from npnet.verify import adapt, candidate

        @candidate("lr_scheduler.{twin}")
        @adapt.schedule
        def mine(config, steps{more}):
            return [1.0] * steps
    """
    for twin in ("SequentialLR", "ChainedScheduler", "CosineAnnealingLR", "ReduceLROnPlateau"):
        more = ", metrics" if twin == "ReduceLROnPlateau" else ""
        file.write_text(textwrap.dedent(source.format(twin=twin, more=more)))
        report = run(str(file), examples=20, dtypes=("float64",))
        folder = tmp_path / twin
        report.save(folder)
        (script,) = folder.glob("failures/*/repro.py")
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path
        )

        assert done.returncode == 1, done.stderr
        assert "torch" in done.stdout


@pytest.mark.parametrize(
    "build",
    [
        lambda: lr_scheduler.StepLR(0.1, 0),
        lambda: lr_scheduler.ConstantLR(0.1, factor=2.0),
        lambda: lr_scheduler.LinearLR(0.1, start_factor=0.0),
        lambda: lr_scheduler.PolynomialLR(0.1, total_iters=0),
        lambda: lr_scheduler.CosineAnnealingLR(0.1, T_max=0),
        lambda: lr_scheduler.CosineAnnealingWarmRestarts(0.1, T_0=0),
        lambda: lr_scheduler.CyclicLR(0.1, 1.0, mode="square"),
        lambda: lr_scheduler.OneCycleLR(0.1),
        lambda: lr_scheduler.OneCycleLR(0.1, 10, pct_start=2.0),
        lambda: lr_scheduler.OneCycleLR(0.1, 10, anneal_strategy="square"),
        lambda: lr_scheduler.OneCycleLR(0.1, 10)(11),
        lambda: lr_scheduler.SequentialLR(SIMPLE[:2], ()),
        lambda: lr_scheduler.SequentialLR(
            (SIMPLE[0], lr_scheduler.ChainedScheduler((SIMPLE[1],))), (2,)
        ),
        lambda: lr_scheduler.ChainedScheduler(()),
        lambda: lr_scheduler.ReduceLROnPlateau(0.1, factor=1.0),
        lambda: lr_scheduler.ReduceLROnPlateau(0.1, mode="down"),
    ],
)
def test_what_makes_no_sense_is_refused(build):
    with pytest.raises(ConfigError, match=r"needs|has"):
        build()
