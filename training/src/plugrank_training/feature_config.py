"""Configuration of the columns: what those of each table become."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from plugrank_training.data.raw_column import LONGEST
from plugrank_training.models.features import DERIVED
from plugrank_training.models.transforms import KINDS as TRANSFORM_KINDS

COLUMN_KINDS = ("auto", "category", "number", "none")
TRANSFORMS = ("auto", *TRANSFORM_KINDS)


class ConfigError(ValueError):
    """A configuration key is unknown or has an impossible value; the message names the key."""


@dataclass(frozen=True)
class ColumnConfig:
    """What a column of the data set becomes (docs/train.md, "Features")."""

    # `auto`, `category`, `number`, or `none`: it is not read.
    kind: str = "auto"
    # Of a number: `auto`, `none`, `log1p`, `standard`, or `buckets` between quantiles.
    transform: str = "auto"
    # How many buckets.
    buckets: int = 16
    # Values of a row that are read; 0: one, or of lists what 95% of the rows need, at most 16.
    length: int = 0
    # What a missing number is read as, after the transform.
    missing: float = 0.0
    # Whether a column of the interactions is given for each candidate, not for the whole request.
    candidate: bool = False


@dataclass(frozen=True)
class FeaturesConfig:
    """What the columns of each table become; a column that is not named is `auto`."""

    items: dict[str, ColumnConfig] = field(default_factory=dict)
    users: dict[str, ColumnConfig] = field(default_factory=dict)
    interactions: dict[str, ColumnConfig] = field(default_factory=dict)
    # `action` and `value` of the interactions, which are read of the entries of histories.
    history: dict[str, ColumnConfig] = field(default_factory=dict)
    # Features of the request's time: `hour`, `weekday`.
    derive: tuple[str, ...] = ()
    # In which they are told, an IANA name.
    timezone: str = "UTC"


def check_features(config: FeaturesConfig) -> None:
    """Refuse values that cannot work, naming the key."""
    for table in ("items", "users", "interactions", "history"):
        for name, column in getattr(config, table).items():
            key = f"features.{table}.{name}"
            for option, allowed in (("kind", COLUMN_KINDS), ("transform", TRANSFORMS)):
                if getattr(column, option) not in allowed:
                    raise ConfigError(
                        f"{key}.{option} must be one of {', '.join(allowed)}, not `{getattr(column, option)}`"
                    )
            if not 2 <= column.buckets <= 1024:
                raise ConfigError(f"{key}.buckets = {column.buckets}: must lie between 2 and 1024")
            if not 0 <= column.length <= LONGEST:
                raise ConfigError(f"{key}.length = {column.length}: must lie between 0 and {LONGEST}")
            if column.candidate and table != "interactions":
                raise ConfigError(f"{key}.candidate: only columns of the interactions are given for a candidate")
    for name in config.derive:
        if name not in DERIVED:
            raise ConfigError(f"features.derive: `{name}` must be one of {', '.join(DERIVED)}")
    try:
        ZoneInfo(config.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"features.timezone = `{config.timezone}` is no time zone") from error
