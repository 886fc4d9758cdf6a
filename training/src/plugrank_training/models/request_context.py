"""What a click model makes of features of the request and of what is given for each candidate."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import GIVEN, REQUEST, Named, named
from plugrank_training.models.lr import FirstOrder

# Width of a feature's embedding.
DIM = 16


class RequestContext(nn.Module):
    """Adds to the first dense layer of every candidate, to its logit, and gates the layer by the request.

    What a request is like changes what the rest means: on a phone, at night. A gate a number, from the request alone
    and 1 at first, lets one layer read the same sums differently (PEPNet, arXiv 2302.01115, eq. 3).
    """

    def __init__(self, request: Sequence[Feature], candidate: Sequence[Feature], hidden: int) -> None:
        super().__init__()
        self.request, self.candidate = tuple(request), tuple(candidate)
        self.request_embeddings = FeatureEmbeddings(request, DIM) if request else None
        self.candidate_embeddings = FeatureEmbeddings(candidate, DIM) if candidate else None
        self.request_weights = FirstOrder(request) if request else None
        self.candidate_weights = FirstOrder(candidate) if candidate else None
        width = self.request_embeddings.dim if self.request_embeddings else 0
        self.from_request = nn.Linear(width, hidden, bias=False) if width and hidden else None
        self.gate = nn.Linear(width, hidden) if width and hidden else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)
        given = self.candidate_embeddings.dim if self.candidate_embeddings else 0
        self.from_candidate = nn.Linear(given, hidden, bias=False) if given and hidden else None

    def bias(self, state: Named, candidate: Named) -> Tensor:
        """Log-odds of request and candidate, `[users, candidates]` or `[users, 1]`."""
        if self.candidate_weights is None:
            return self.request_bias(state)
        own: Tensor = self.candidate_weights(named(candidate, GIVEN)).squeeze(-1)
        return own if self.request_weights is None else own + self.request_bias(state)

    def request_bias(self, state: Named) -> Tensor:
        """Log-odds of the request alone, `[users, 1]`."""
        if self.request_weights is None:
            raise ValueError("a context reads something of the request or of candidates")
        told: Tensor = self.request_weights(named(state, REQUEST))
        return told

    def layer(self, hidden: Tensor, state: Named, candidate: Named) -> Tensor:
        """The first dense layer `[users, candidates, hidden]` with what the context says."""
        if self.candidate_embeddings is not None and self.from_candidate is not None:
            hidden = hidden + self.from_candidate(self.candidate_embeddings(named(candidate, GIVEN)))
        if self.request_embeddings is None or self.from_request is None or self.gate is None:
            return hidden
        told = self.request_embeddings(named(state, REQUEST))
        return (hidden + self.from_request(told).unsqueeze(1)) * (2.0 * self.gate(told).sigmoid()).unsqueeze(1)
