"""A two-tower network in PyTorch, where it is installed: one tower reads a user's history, the other a film."""

from __future__ import annotations

import numpy as np
from rank import Ranker


class TwoTower(Ranker):
    """Vectors of histories and films whose product scores; learned by telling a held-back film from those of other users.

    The user tower is the mean of the history's film vectors through one hidden layer, so that new users are served. Other
    users' films of the batch are the wrong answers, corrected for popularity, as films come in as often as they are seen.
    Source: Yi et al. (2019), Sampling-Bias-Corrected Neural Modeling. ImportError says what to install.
    """

    def __init__(
        self, width: int = 32, epochs: int = 8, rate: float = 0.005, batch: int = 128, seed: int = 0
    ):
        self.width, self.epochs, self.rate, self.batch, self.seed = width, epochs, rate, batch, seed

    def _learn(self, X):
        torch = _torch()
        torch.manual_seed(self.seed)
        rng, wide = np.random.default_rng(self.seed), self.width
        self.into_, self.film_ = (torch.nn.Embedding(self.films, wide) for _ in range(2))
        for table in (self.into_, self.film_):
            torch.nn.init.normal_(table.weight, 0, 0.1)
        self.user_ = torch.nn.Sequential(
            torch.nn.Linear(wide, wide), torch.nn.ReLU(), torch.nn.Linear(wide, wide)
        )
        weights = [p for m in (self.into_, self.user_, self.film_) for p in m.parameters()]
        optimiser = torch.optim.Adam(weights, self.rate, weight_decay=1e-5)
        self.often_ = torch.log(torch.as_tensor(np.maximum(self.seen_, 1) / max(self.seen_.sum(), 1)).float())
        user, film = X.nonzero()
        for _ in range(self.epochs):
            order = rng.permutation(len(user))
            for at in range(0, len(order), self.batch):
                rows = order[at : at + self.batch]
                optimiser.zero_grad()
                self._loss(X[user[rows]], film[rows]).backward()
                optimiser.step()

    def _loss(self, H, film):
        torch, film = _torch(), _torch().as_tensor(film).long()
        H = _dense(H) - torch.nn.functional.one_hot(film, self.films)  # the answer is not in the question
        logits = self._user(H) @ self.film_(film).T - self.often_[film]
        same = (film[:, None] == film) & ~torch.eye(len(film), dtype=torch.bool)
        return torch.nn.functional.cross_entropy(logits.masked_fill(same, -1e9), torch.arange(len(film)))

    def _user(self, H):
        mean = (H @ self.into_.weight) / H.sum(1, keepdim=True).clamp(min=1).sqrt()
        return self.user_(mean) + mean

    def _score(self, H):
        with _torch().no_grad():
            return (self._user(_dense(H)) @ self.film_.weight.T).numpy().astype(float)


def _torch():
    try:
        import torch
    except ImportError:
        raise ImportError("the two-tower network needs PyTorch: pip install torch") from None
    return torch


def _dense(H):
    return _torch().as_tensor(H.toarray(), dtype=_torch().float32)
