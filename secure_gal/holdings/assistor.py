"""An assistor's data: its rows, and the parts that fit residuals to them and answer from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.party import PartyHolding
from secure_gal.holdings.roles import EncryptedFits, Keyed, LocalFits
from secure_gal.learners import storage
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.holdings.encrypted import EncryptedRidgeFits
P = TypeVar("P")


class AssistorData(PartyHolding):
    """An assistor's side.

    Args:
        parts: that a mode of protection computes with (`secure_gal.protection.assistor_data`); by default the local
            models themselves, whose fits and parts leave as they are.
    """

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        *,
        memory: InMemory | None = None,
        parts: MakeParts | None = None,
    ) -> None:
        super().__init__(party, study, folder, warn, memory=memory)
        self._parts = Parts(self.prepare_local, clear=self) if parts is None else parts(self)

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit what the parts need to the training rows; returns what must be saved to predict later."""
        return self._parts.prepare(positions, train)

    @property
    def clear(self) -> LocalFits:
        """As `AssistorHolding.clear`."""
        return _there(self._parts.clear, "a residual in the clear")

    @property
    def encrypted(self) -> EncryptedFits:
        """As `AssistorHolding.encrypted`."""
        return _there(self._parts.encrypted, "an encrypted residual")

    @property
    def keyed(self) -> Keyed:
        """As `AssistorHolding.keyed`."""
        return _there(self._parts.keyed, "a key of the sponsor's")

    def prepare_local(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder alone, for local models."""
        return storage.dump(self.encode(positions, train))

    def predict(
        self,
        ids: tuple[str, ...],
        encoder: bytes,
        models: list[bytes],
        coefficients: npt.NDArray[np.float64],
        k: int,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Answer by local models from `[data] path` as it is on disk now."""
        table = self.read()
        loaded = storage.load(encoder, self.trusted) if encoder else None
        return self.part(table, ids, loaded, models, coefficients, k)

    def close(self) -> None:
        """As `PartyHolding.close`."""
        if self._parts.encrypted is not None:
            self._parts.encrypted.close()

    @property
    def seconds_for_features(self) -> float:
        """As `PartyHolding`'s."""
        part = self._parts.encrypted
        return super().seconds_for_features if part is None else part.seconds_for_features

    @property
    def _computes(self) -> object:
        part = self._parts.encrypted
        return (None if part is None else part.features) or super()._computes

    @property
    def _values_made(self) -> str:
        part = self._parts.encrypted
        return super()._values_made if part is None else part.values_made


@dataclass(frozen=True, slots=True)
class Parts:
    """What an assistor's holding computes with.

    Attributes:
        prepare: fits what is needed to the training rows, as `AssistorHolding.prepare`.
        clear, encrypted, keyed: as in `AssistorHolding`; None: its study asks for no such thing.
    """

    prepare: Callable[[npt.NDArray[np.int64], npt.NDArray[np.bool_]], bytes]
    clear: LocalFits | None = None
    encrypted: EncryptedRidgeFits | None = None
    keyed: Keyed | None = None


MakeParts = Callable[[AssistorData], Parts]


def _there(part: P | None, what: str) -> P:
    if part is None:
        raise StateError(f"{what} came to a holding whose study has none")
    return part
