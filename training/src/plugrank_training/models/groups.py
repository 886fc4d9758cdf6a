"""The table of parameter groups that is printed before training."""

from __future__ import annotations

from dataclasses import dataclass

from plugrank_training.models.branch import Group
from plugrank_training.models.click_model import ClickModel


def groups_of(model: ClickModel) -> list[Group]:
    """The groups of a click model; together they hold every parameter once, the loose ones of the model aside."""
    found = [group for part in model.parts() for group in part.groups()]
    return [*found, Group("head", model.head_modules(), "first layer: item part, user part")]


def freeze(model: ClickModel, names: tuple[str, ...]) -> None:
    """Keep these groups as they are. Raises `ValueError` for a name that is none."""
    known = {group.name: group for group in groups_of(model)}
    for name in names:
        if name not in known:
            raise ValueError(f"unified.freeze: no parameter group `{name}`; there are {', '.join(known)}")
        for parameter in known[name].parameters:
            parameter.requires_grad_(False)


def stored_groups(model: ClickModel) -> set[str]:
    """Groups whose outputs training reads from files, as `frozen_cache.py` makes them."""
    return {name for part in model.parts() for name in part.stored_groups()}


@dataclass(frozen=True)
class GroupRow:
    """A row of the table."""

    name: str
    parameters: int
    # Stages in which it trains.
    trains: str
    # What the serving side caches of it.
    cached: str
    # Whether training reads its outputs from files.
    from_files: bool

    def cells(self) -> tuple[str, ...]:
        """As text."""
        read = "read from files" if self.from_files else "computed"
        return self.name, f"{self.parameters:,}", self.trains, self.cached, read


def group_table(rows: list[GroupRow]) -> str:
    """Lines of (group, parameters, trains in, cached when serving, in training) as an aligned text table."""
    cells = [("group", "parameters", "trains in", "cached when serving", "in training"), *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
