"""The host that `host.kind` names: one of ours, one of FuxiCTR's, or anybody's class."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from plugrank_training.config import HostConfig
from plugrank_training.feature_config import ConfigError
from plugrank_training.models.branch import Branch
from plugrank_training.models.dcnv2 import DcnV2
from plugrank_training.models.deepfm import DeepFm
from plugrank_training.models.din import Din
from plugrank_training.models.lr import Lr
from plugrank_training.models.row_host import RowHost, RowModel
from plugrank_training.models.schema import Schema

HOSTS: dict[str, Callable[..., Branch]] = {"lr": Lr, "deepfm": DeepFm, "dcnv2": DcnV2, "din": Din}


def make_host(schema: Schema, config: HostConfig) -> Branch:
    """Build it, with fresh weights.

    `host.kind` is `lr`, `deepfm`, `dcnv2`, `din`, `fuxictr:MODEL`, or `MODULE:CLASS` of a class that is a `Branch` or a
    `RowModel` and is made from `(schema, config)`. Raises `ConfigError` where there is no such host.
    """
    if config.kind in HOSTS:
        return HOSTS[config.kind](schema.item, schema.user, config, schema.history)
    module, colon, name = config.kind.partition(":")
    if not colon:
        raise ConfigError(f"host.kind = `{config.kind}`: one of {', '.join(HOSTS)}, fuxictr:MODEL or MODULE:CLASS")
    if module == "fuxictr":
        from plugrank_training.models.fuxictr import FuxiModel

        return RowHost(schema, FuxiModel(schema, config, name))
    made = custom(module, name)(schema, config)
    return made if isinstance(made, Branch) else RowHost(schema, made)


def custom(module: str, name: str) -> Callable[..., RowModel | Branch]:
    """A class by module and name."""
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"host.kind = `{module}:{name}`: {error}") from error
    if not (isinstance(found, type) and issubclass(found, RowModel | Branch)):
        raise ConfigError(f"host.kind = `{module}:{name}`: is neither a RowModel nor a Branch")
    return found
