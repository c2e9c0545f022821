"""How wild a schedule is, and the themes that seeds take in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.emulator.faults import FAULTS


@dataclass(frozen=True)
class Plan:
    """How wild a schedule is; ``deal`` has the dice of its seed thrown anew."""

    runners: int = 2
    runs: int = 4
    crash_odds: float = 0.01
    freeze_odds: float = 0.01
    lost_odds: float = 0.01
    faults: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0.02))
    deep_odds: float = 0.2
    busy: float = 0.7
    anchors: bool = True
    box_s: float = 15.0
    life: int = 8
    blocks: int = 25
    users: int = 0
    tidies: int = 0
    deal: int = 0


QUIET = Plan(runners=1, runs=1, crash_odds=0, freeze_odds=0, lost_odds=0, faults={}, deep_odds=0)
# Each seed takes the next theme: one kind of trouble at a time goes deeper than all at once.
THEMES = (
    Plan(),
    Plan(runners=3, crash_odds=0.002, freeze_odds=0.05, faults={"reorg": 0.05}),
    Plan(
        runners=1,
        runs=16,
        crash_odds=0.002,
        freeze_odds=0,
        lost_odds=0,
        faults={"shuffled": 0.8},
        deep_odds=0,
        busy=1,
        life=24,
    ),
    Plan(crash_odds=0.002, lost_odds=0.08, faults={"reorg": 0.05, "grow": 0.1}),
    Plan(faults={"short_page": 0.2, "late_calls": 0.1, "grow": 0.1, "slow": 0.05}),
    Plan(runners=1, runs=10, lost_odds=0, deep_odds=0.7, busy=1.0, anchors=False),
    Plan(
        runners=1,
        runs=12,
        crash_odds=0.002,
        freeze_odds=0,
        faults={},
        deep_odds=1.0,
        box_s=6.0,
        life=20,
        blocks=40,
    ),
    Plan(
        runs=8,
        crash_odds=0.002,
        freeze_odds=0.005,
        lost_odds=0.02,
        faults={},
        deep_odds=0,
        busy=0.4,
        blocks=12,
        users=12,
        tidies=30,
    ),
)
