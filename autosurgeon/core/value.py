"""The base class of all values: frozen, without unknown fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen, strict value: unknown fields are errors, and fields cannot change."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
