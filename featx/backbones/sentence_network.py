"""MiniLM: a small BERT that turns a text into one row of numbers, the mean of those of its pieces.

The names of the parameters are those of the published checkpoint, so that it loads as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, INNER, PIECES, POSITIONS = 384, 6, 12, 1536, 30_522, 512
EPSILON = 1e-12


class Embeddings(nn.Module):
    """Pieces and their positions as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(PIECES, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, pieces: torch.Tensor) -> torch.Tensor:
        """A row for each piece."""
        rows = self.word_embeddings(pieces) + self.token_type_embeddings.weight[0]
        normal: torch.Tensor = self.LayerNorm(rows + self.position_embeddings.weight[: pieces.shape[1]])
        return normal


class Queries(nn.Module):
    """What each piece asks of the others, offers them and tells them."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, rows: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Rows of what each piece learns from the pieces that are given."""
        query, key, value = (
            part(rows).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        return functional.scaled_dot_product_attention(query, key, value, given).transpose(1, 2).flatten(2)


class Added(nn.Module):
    """A product added to the rows it was made from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, rows: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """The sum, normalised."""
        normal: torch.Tensor = self.LayerNorm(self.dense(rows) + before)
        return normal


class Layer(nn.Module):
    """Attention, then two products with a bend between them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": Queries(), "output": Added(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = Added(INNER)

    def forward(self, rows: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """The rows after this layer."""
        rows = self.attention["output"](self.attention["self"](rows, given), rows)
        after: torch.Tensor = self.output(functional.gelu(self.intermediate["dense"](rows)), rows)
        return after


class MiniLM(nn.Module):
    """Texts as unit rows of 384 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})

    def forward(self, pieces: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """A unit row for each text, from the numbers of its pieces and which of them are given."""
        rows, mask = self.embeddings(pieces), given[:, None, None, :]
        layers: Any = self.encoder["layer"]
        for layer in layers:
            rows = layer(rows, mask)
        weights = given[:, :, None].to(rows.dtype)
        return functional.normalize((rows * weights).sum(1) / weights.sum(1), dim=1)
