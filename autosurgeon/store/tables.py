"""The tables. Rows stay in this package; other packages see core values and the records of `records.py`.

A change here needs a new file in `migrations/versions/`; a test checks that the migrations make exactly these tables.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel, UniqueConstraint

CLIMB = {
    "sqlite": "json_extract(feedback, '$.value')",
    # As text, since PostgreSQL does not index a cast to JSON.
    "postgresql": """CAST(substring(feedback from '"value":([-+.0-9e]+)') AS FLOAT)""",
}
"""The feedback value of a pass as SQL, spelled as in the index, which is only used for the same text."""


class RunRow(SQLModel, table=True):
    """One run: its budget, the policy and seed in force, and why it ended."""

    __tablename__ = "run"
    id: int | None = Field(default=None, primary_key=True)
    started_at: str
    ended_at: str | None = None
    passes_limit: int | None = None
    hours_limit: float | None = None
    passes_done: int = 0
    end_reason: str | None = None
    policy: str | None = None
    """The digest of the policy; None for older runs, as the three below."""
    policy_file: str | None = None
    params: str | None = None
    """JSON: the parameters that were set, by name."""
    seed: int | None = Field(default=None, sa_type=BigInteger)
    end_detail: str | None = None
    """The detail of the end: the name of a signal, a rule."""


class PassRow(SQLModel, table=True):
    """One pass."""

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
    """The committed output of a stage, or the error of a failed try."""

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
    """JSON; None for older tries."""


class SpentRow(SQLModel, table=True):
    """The cost of all tries of all stages as JSON; one row, updated with each try."""

    __tablename__ = "spent"
    id: int = Field(primary_key=True)
    cost: str


class BegunRow(SQLModel, table=True):
    """A stage that was begun and has not ended, with the number of its beginnings: one more than its process died."""

    __tablename__ = "begun"
    scope: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    times: int
    at: str


class BenchRow(SQLModel, table=True):
    """The result of one task with one pack on one occasion."""

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
    """The number of samples of a pack's win, and of those that passed."""

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
    """The content of a policy that judged here, so that old decisions can be explained."""

    __tablename__ = "policy"
    digest: str = Field(primary_key=True)
    content: str
    at: str


class LookRow(SQLModel, table=True):
    """A paid look at the benches; a pass looks once, however often it is continued.

    Numbers may skip: a pass with several candidates uses a look for each.
    """

    __tablename__ = "look"
    look: int = Field(primary_key=True)
    pass_number: int = Field(unique=True)
    alpha: float
    left: float
    at: str


class AnchorRunRow(SQLModel, table=True):
    """One anchor on one occasion: the number of tries with the same weights, and of passes."""

    __tablename__ = "anchor_run"
    __table_args__ = (UniqueConstraint("occasion", "task_id"), Index("ix_anchor_run_newest", "task_id", "id"))
    id: int | None = Field(default=None, primary_key=True)
    occasion: str
    task_id: str
    tries: int
    passed: int
    at: str


class TaughtRow(SQLModel, table=True):
    """A task that was a training row; written in the transaction that commits its dataset."""

    __tablename__ = "taught"
    task_id: str = Field(primary_key=True)
    poison_pass: int | None = None
    """The first pass in which it was poison."""


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
    """A version of the live pointer; the highest is live."""

    __tablename__ = "live"
    version: int = Field(primary_key=True)
    pack: str
    decision_id: str
    at: str


class EventRow(SQLModel, table=True):
    """An entry of the chain of events, in the transaction of what it records; never changed."""

    __tablename__ = "event"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: str
    kind: str
    subject: str
    payload: str
    previous: str
    hash: str
