"""Modal vectors along the principal directions of each of their parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PrincipalParts(nn.Module):
    """What a branch keeps to centre and shorten each part (text, image, ...) of modal vectors; none of it trains."""

    parts: tuple[int, ...]

    def keep_directions(self, parts: tuple[int, ...], dim: int) -> tuple[int, ...]:
        """Make room for the directions of parts that are so wide, at most `dim` of each; gives how many of each."""
        self.parts = parts
        kept = tuple(min(dim, width) for width in parts)
        for number, (width, count) in enumerate(zip(parts, kept, strict=True)):
            self.register_buffer(f"mean_{number}", torch.zeros(width))
            self.register_buffer(f"directions_{number}", torch.eye(count, width))
        return kept

    @torch.no_grad()
    def fit_directions(self, modal: Tensor, present: Tensor) -> None:
        """Take each part's mean and principal directions over the items that have it; `[items, sum of parts]`,
        `[items, parts]`."""
        for number, piece in enumerate(torch.split(modal, list(self.parts), dim=-1)):
            rows = piece[present[:, number] > 0].double()
            if len(rows) < 2:
                continue
            mean = rows.mean(0)
            _, _, found = torch.linalg.svd(rows - mean, full_matrices=False)
            directions = self.get_buffer(f"directions_{number}")
            self.get_buffer(f"mean_{number}").copy_(mean)
            directions[: len(found)] = found[: len(directions)].float()

    def along_directions(self, modal: Tensor, present: Tensor) -> list[Tensor]:
        """Each part, centred, along its directions; zeros where it is absent. `[n, kept]` each."""
        found = []
        for number, piece in enumerate(torch.split(modal, list(self.parts), dim=-1)):
            centred = (piece - self.get_buffer(f"mean_{number}")) * present[:, number : number + 1]
            found.append(centred @ self.get_buffer(f"directions_{number}").T)
        return found
