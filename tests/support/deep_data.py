"""Images and series that small networks can learn from."""

from __future__ import annotations

import numpy as np

from secure_gal.settings.party import LearnerSettings


def settings(kind: str, **options: float | int | str | bool) -> LearnerSettings:
    """A network on the CPU with these options."""
    return LearnerSettings(kind=kind, device="cpu", options=options)


def images(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 1, 6, 5) and r (n, 2): r[:, 0] is the sign of a vertical edge, which no single pixel tells."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1, 6, 5))
    r = rng.choice([-1.0, 1.0], size=(n, 2))
    x[:, 0, :, :2] += 1.5 * r[:, :1, None]
    x[:, 0, :, 3:] -= 1.5 * r[:, :1, None]
    return x, r.astype(np.float32)


def series(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 8, 2) with NaN padding and r (n, 1): the sign of the last real step's first column."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8, 2))
    lengths = rng.integers(3, 9, n)
    r = np.sign(x[np.arange(n), lengths - 1, 0])[:, None].astype(np.float32)
    x[np.arange(8) >= lengths[:, None]] = np.nan
    return x, r


CNN = settings("cnn", blocks=2, width=8, epochs=12, batch=64, rate=5e-3)
