"""The collaborators of a run, built once by the wiring and passed down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autosurgeon.bench.grade import Grader
from autosurgeon.config import Settings
from autosurgeon.core.decision import Scalar
from autosurgeon.core.ports import Beat, CapsuleRunner, Reporter, no_beat
from autosurgeon.core.records import InForce
from autosurgeon.core.task import Task
from autosurgeon.core.workspace import Workspace
from autosurgeon.lab.dispatcher import Dispatcher
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.packs.packstore import PackStore
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.sampler import Proposer
from autosurgeon.runner.usage_meter import Meter
from autosurgeon.store.sqlstore import SqlStore


@dataclass(frozen=True)
class Instruments:
    """The collaborators of a run."""

    settings: Settings
    workspace: Workspace
    policy: Policy
    tasks: Mapping[str, Task]
    store: SqlStore
    packs: PackStore
    capsules: CapsuleRunner
    grader: Grader
    dispatcher: Dispatcher
    proposer: Proposer
    reporter: Reporter
    brakes: Limits
    beat: Beat = no_beat
    meter: Meter = field(default_factory=Meter)
    """The meter of the capsules' usage, read at the begin and the end of a stage."""
    policy_file: str | None = None
    """The source of the policy by `in_force.name_source`; None where it is unknown."""
    assigned: Mapping[str, Scalar] = field(default_factory=dict)
    """The policy's parameters that were set, by name."""
    notes: tuple[str, ...] = ()
    """Values of settings and files that are not in force, a line each, for the start of a run."""
    reports: bool = True
    """Whether a pass ends with its report; a simulation needs none."""

    @property
    def in_force(self) -> InForce:
        """The policy, parameters and seed of passes that begin now."""
        return InForce(
            policy=self.policy.digest,
            name=self.policy.name,
            params=self.policy.param_values,
            assigned=dict(self.assigned),
            file=self.policy_file,
            seed=self.settings.seed,
        )
