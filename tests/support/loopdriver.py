"""A loop that a state machine drives: opened, run for a pass, and opened again where the world ended its process."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from fakes import ScriptedCapsules
from loopmodel import LoopModel, knows
from night import story_tasks
from surroundings import PowerCut, World
from theatre import small_theatre

from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import number_of
from autosurgeon.core.task import Split
from autosurgeon.core.value import Value
from autosurgeon.loop.engine.full_disk import is_full_disk
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.run_passes import run

T = TypeVar("T")
LOOP = {"min_free_mib": 1, "ballast_mib": 0, "full_disk_retry_s": 0.01, "recoveries": 10_000}
SIZES = {Split.SURGERY: 6, Split.DEV: 1, Split.GATE: 6, Split.CANARY: 2}
ALPHA = 0.9
"""Generous, so that chance refuses nothing however many looks there were: chance is tested elsewhere."""


class Driven:
    """The process of the loop under test."""

    root: Path
    world: World
    theatre: ExitStack
    model: LoopModel
    parents: tuple[str, ...]
    torn: bool

    def open(self) -> None:
        """A process begins."""
        self.theatre = ExitStack()
        self.ins: Instruments = self.theatre.enter_context(
            small_theatre(
                self.root,
                lambda generation, task_id: knows(self.model.kind_of(generation) if generation else "idles", task_id),
                before=self.before,
                tasks=story_tasks(SIZES),
                loop=LOOP,
                # Weights that are gone look like damaged ones to the model; who removes them is tested elsewhere.
                retention={"when_full": False},
                search={"parents": self.parents},
                statistics={"alpha": ALPHA},
            )
        )

    def reopen(self) -> None:
        """That process is over, and another one begins."""
        self.theatre.close()
        self.open()

    def before(self, job: Value) -> None:
        """A training makes the generation of its pass, so that nothing is remembered in memory."""
        if isinstance(job, TrainJob):
            assert isinstance(self.ins.capsules, ScriptedCapsules)
            self.ins.capsules.trained = (number_of(job.rows.parent.parent.name) or 0) - 1
        self.world.before()

    def run(self) -> str | None:
        """One pass, and what a run that came back leaves behind; None where it did not."""
        self.ins = replace(self.ins, brakes=Limits(passes=1, poll_s=0.01))
        reason = self.attempt(lambda: run(self.ins))
        if reason is not None:
            self.torn = False
            place, live = self.ins.workspace, self.ins.store.live()
            assert len(place.decisions.read_bytes().splitlines()) == len(self.ins.store.decisions())
            assert len(place.events.read_bytes().splitlines()) == self.ins.store.head().size
            if live is not None:
                assert json.loads(place.live_file.read_bytes())["pack"] == live.pack
                self.ins.packs.verify(live.pack)
        return reason

    def attempt(self, work: Callable[[], T]) -> T | None:
        """What the work comes back with; where the world ended it, None and a new process."""
        try:
            return work()
        except PowerCut:
            pass
        except OSError as error:
            assert self.world.full_at and is_full_disk(error)
        finally:
            self.world.calm()
        self.reopen()
        return None
