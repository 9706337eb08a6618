"""The base of every noun: a frozen value that refuses unknown fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen, strict value: unknown fields are errors, and nothing changes after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
