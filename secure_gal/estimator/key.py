"""The sponsor's CKKS key of a study in this process, kept as the files that it would be on a disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crypto.private_files import write_new
from crypto.work_folder import held
from secure_gal.errors import setting
from secure_gal.protection.ciphers import Cipher
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from crypto.ckks.secret import SecretContext

FILE = "ckks.key"
HOME_BYTES = 64 << 20
"""Of a key with its account, and of the labels of a million rows that were released."""


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A folder for a fit or a prediction; that of a process that was killed is removed by the next one.

    Raises:
        EnvironmentFailure: there is no room for one.
    """
    with ExitStack() as open_:
        with setting():
            folder = open_.enter_context(held(HOME_BYTES))
        yield folder


@dataclass(frozen=True, slots=True)
class Key:
    """The key and its account; `cipher` is None in a study that encrypts nothing."""

    cipher: Cipher | None = field(repr=False)
    _folder: Path

    @classmethod
    def generate(cls, study: Study, folder: Path) -> Key:
        """A new one, of the study's parameter set, in an empty folder."""
        if not study.protect.keyed:
            return cls(None, folder)
        from crypto.ckks.sets import named

        kind = _kind(study)
        with setting():
            kind.generate(named(study.protect.parameter_set)).save(folder / FILE)
            return cls(kind.load(folder / FILE), folder)

    @classmethod
    def restore(cls, study: Study, files: Mapping[str, bytes], folder: Path) -> Key:
        """The one that `files` gave, in an empty folder.

        Raises:
            SettingsError: it is none of this study's parameter set.
            KeyRetired: it may decrypt nothing more.
        """
        if not study.protect.keyed:
            return cls(None, folder)
        for name, raw in files.items():
            write_new(folder / name, raw, 0o600)
        with setting():
            return cls(_kind(study).load(folder / FILE), folder)

    def files(self) -> dict[str, bytes]:
        """The key and what it has decrypted, by file name."""
        if self.cipher is None:
            return {}
        return {path.name: path.read_bytes() for path in sorted(self._folder.glob(f"{FILE}*")) if path.is_file()}


def _kind(study: Study) -> type[SecretContext]:
    if study.protect.summed:
        from crypto.ckks.secret_sum import SumContext

        return SumContext
    from crypto.ckks.secret import SecretContext

    return SecretContext
