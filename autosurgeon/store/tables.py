"""The tables. Rows stay in this package; everyone else sees core values and the small records of `records.py`.

A change here is a new file in `migrations/versions/`; a test holds that the migrations make just these tables.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel, UniqueConstraint

CLIMB = {
    "sqlite": "json_extract(feedback, '$.value')",
    # As text: PostgreSQL takes no cast to JSON into an index.
    "postgresql": """CAST(substring(feedback from '"value":([-+.0-9e]+)') AS FLOAT)""",
}
"""What the proposer was told of a pass, as SQL; spelled as in the index, which is not used otherwise."""


class RunRow(SQLModel, table=True):
    """One start of the loop, its budget, what it works under, and why it ended."""

    __tablename__ = "run"
    id: int | None = Field(default=None, primary_key=True)
    started_at: str
    ended_at: str | None = None
    passes_limit: int | None = None
    hours_limit: float | None = None
    passes_done: int = 0
    end_reason: str | None = None
    policy: str | None = None
    """Digest of the policy; None for a run from before it was kept, as the three below."""
    policy_file: str | None = None
    params: str | None = None
    """JSON: the policy's parameters that were set, by name."""
    seed: int | None = Field(default=None, sa_type=BigInteger)
    end_detail: str | None = None
    """Which one of a kind of end it is: a signal's name, a rule."""


class PassRow(SQLModel, table=True):
    """One attempt."""

    __tablename__ = "pass"
    __table_args__ = (
        Index(
            "ix_pass_climbed",
            "number",
            sqlite_where=text(f"{CLIMB['sqlite']} > 0"),
            postgresql_where=text(f"{CLIMB['postgresql']} > 0"),
        ),
    )
    number: int = Field(primary_key=True)
    state: str = Field(index=True)
    verdict: str | None = None
    reason: str = ""
    recipe: str
    parent: str
    live_before: str
    pack: str | None = None
    feedback: str | None = None
    started_at: str
    ended_at: str | None = None
    contract: str | None = None


class StageRow(SQLModel, table=True):
    """A stage's committed output, or the error of a failed try."""

    __tablename__ = "stage"
    id: int | None = Field(default=None, primary_key=True)
    scope: str = Field(index=True)
    name: str = Field(index=True)
    attempt: int
    output: str | None = None
    error: str | None = None
    seconds: float = Field(index=True)
    at: str
    effect_id: str | None = None
    usage: str | None = None
    """JSON; None for a try from before it was kept."""


class SpentRow(SQLModel, table=True):
    """What all tries of all stages took together, as JSON; one row, brought up to date with each of them."""

    __tablename__ = "spent"
    id: int = Field(primary_key=True)
    cost: str


class BegunRow(SQLModel, table=True):
    """A stage that was begun and has not ended; how often, which is how often its process died in it, and once more."""

    __tablename__ = "begun"
    scope: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    times: int
    at: str


class BenchRow(SQLModel, table=True):
    """One task's result with one pack on one occasion."""

    __tablename__ = "bench_result"
    __table_args__ = (UniqueConstraint("pack", "occasion", "task_id"),)
    id: int | None = Field(default=None, primary_key=True)
    pack: str = Field(index=True)
    occasion: str
    task_id: str
    bench: str
    split: str
    passed: bool
    envelope: str


class ConfirmationRow(SQLModel, table=True):
    """How many of k samples of a pack's win passed."""

    __tablename__ = "confirmation"
    __table_args__ = (UniqueConstraint("pack", "task_id"),)
    id: int | None = Field(default=None, primary_key=True)
    pack: str = Field(index=True)
    task_id: str
    samples: int
    passed: int


class PackRow(SQLModel, table=True):
    """A pack that was made or imported."""

    __tablename__ = "pack"
    digest: str = Field(primary_key=True)
    parent: str | None = None
    pass_number: int | None = None
    manifest: str
    at: str


class DecisionRow(SQLModel, table=True):
    """A decision, written once."""

    __tablename__ = "decision"
    seq: int | None = Field(default=None, primary_key=True)
    decision_id: str = Field(unique=True)
    pass_number: int | None = Field(default=None, index=True)
    phase: str | None = None
    verdict: str | None = None
    action: str
    record: str
    at: str


class PolicyRow(SQLModel, table=True):
    """A policy that judged something here, whole, so that a decision can be explained by what was in force."""

    __tablename__ = "policy"
    digest: str = Field(primary_key=True)
    content: str
    at: str


class LookRow(SQLModel, table=True):
    """A look at the benches that was paid for; a pass looks once, however often it is continued.

    Numbers may jump: a pass that chose among several candidates uses up a look for each.
    """

    __tablename__ = "look"
    look: int = Field(primary_key=True)
    pass_number: int = Field(unique=True)
    alpha: float
    left: float
    at: str


class AnchorRunRow(SQLModel, table=True):
    """One anchor on one occasion: how often it was tried with the same weights, and how often it passed."""

    __tablename__ = "anchor_run"
    __table_args__ = (UniqueConstraint("occasion", "task_id"), Index("ix_anchor_run_newest", "task_id", "id"))
    id: int | None = Field(default=None, primary_key=True)
    occasion: str
    task_id: str
    tries: int
    passed: int
    at: str


class TaughtRow(SQLModel, table=True):
    """A task that was a training row; gathered from the datasets in the transactions that commit them."""

    __tablename__ = "taught"
    task_id: str = Field(primary_key=True)
    poison_pass: int | None = None
    """The first pass whose poison it was."""


class QuarantineRow(SQLModel, table=True):
    """An anchor that a person set aside for a while."""

    __tablename__ = "quarantine"
    id: int | None = Field(default=None, primary_key=True)
    task_id: str = Field(index=True)
    reason: str
    by: str
    at: str
    expires_at: str


class LiveRow(SQLModel, table=True):
    """A version of the live pointer; the highest one is live."""

    __tablename__ = "live"
    version: int = Field(primary_key=True)
    pack: str
    decision_id: str
    at: str


class EventRow(SQLModel, table=True):
    """An entry of the chain of events; written beside what it records, never changed."""

    __tablename__ = "event"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: str
    kind: str
    subject: str
    payload: str
    previous: str
    hash: str
