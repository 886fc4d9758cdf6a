"""The table of parameter groups that is printed before training."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.din import Din
from plugrank_training.models.ppm import Ppm


@dataclass(frozen=True)
class Group:
    """Modules that are trained, frozen and cached together."""

    name: str
    modules: tuple[nn.Module, ...]
    # What the serving side keeps of their results.
    cached: str

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Their parameters."""
        return [parameter for module in self.modules for parameter in module.parameters()]


def groups_of(model: ClickModel) -> list[Group]:
    """The groups of a click model; together they hold every parameter once, the two loose ones of the model aside."""
    found: list[Group] = []
    for part in model.parts():
        if isinstance(part, Ppm):
            transformer = (part.position, part.age, part.label, part.layers, part.norm)
            found += [
                Group("ppm.projection", (part.projection, part.prior), "item vector, per item"),
                Group("ppm.transformer", transformer, "user state, per history"),
                Group("ppm.attention", (part.attention,), "queries per item, keys and values per history"),
            ]
        elif isinstance(part, Din):
            embeddings = (part.item_embeddings, part.item_bias, part.user_embeddings)
            found += [
                Group("host.embeddings", embeddings, "inside item and user parts"),
                Group("host.interaction", (part.join, part.prior, part.label, part.age, part.state), "the same"),
                Group("host.attention", (part.attention,), "queries per item, keys and values per history"),
            ]
    head = (model.from_item, model.from_user, model.wide_user, model.from_cross, model.wide_cross)
    found.append(Group("head", (*head, model.from_recency, model.head), "first layer: item part, user part"))
    return found


def freeze(model: ClickModel, names: tuple[str, ...]) -> None:
    """Keep these groups as they are. Raises `ValueError` for a name that is none."""
    known = {group.name: group for group in groups_of(model)}
    for name in names:
        if name not in known:
            raise ValueError(f"unified.freeze: no parameter group `{name}`; there are {', '.join(known)}")
        for parameter in known[name].parameters:
            parameter.requires_grad_(False)


def group_table(rows: list[tuple[str, int, str, str]]) -> str:
    """Lines of (group, parameters, trains in, cached) as an aligned text table."""
    head = ("group", "parameters", "trains in", "cached")
    cells = [head, *((name, f"{count:,}", trains, cached) for name, count, trains, cached in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [
        "  ".join(
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
