"""The secret side of CKKS: the owner's key, encryption of residuals, decryption of fits. Evaluators never import it.

CKKS is not IND-CPA-D (Li and Micciancio, EUROCRYPT 2021): whoever sees exact decryptions can find the key. So
everything that is decrypted here gets noise before anything else sees it (`crypto.ckks.release`), and is counted
(`crypto.ckks.releases`).
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import flooding, release, ring, sealapi_files, wide
from crypto.ckks.ciphertexts import read_reply, write_request
from crypto.ckks.issued import Issued
from crypto.ckks.keys import keys_digest
from crypto.ckks.params import RANGE, ParameterSet
from crypto.ckks.releases import Releases
from crypto.ckks.sealapi_files import Bytes, Residues
from crypto.ckks.secret_keys import KeyMaker
from crypto.ckks.sets import named
from crypto.ckks.slots import Packing, Slots
from crypto.errors import Malformed, Refused, Unsuitable
from crypto.private_files import write_new

Values = npt.NDArray[np.float64]
FORMAT = 2
MAX_FILE_BYTES = 2**22
"""Bytes of a key file; a real one has about 0.6 million."""


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    parameters: str
    secret: bytes
    noise: bytes


class SecretContext:
    """A secret key.

    Attributes:
        params: its parameter set.
        releases: what it has decrypted.
    """

    __slots__ = (
        "_decryptor",
        "_encoder",
        "_encryptor",
        "_issued",
        "_maker",
        "_noise_key",
        "_secret",
        "params",
        "releases",
    )

    def __init__(self, params: ParameterSet, secret: sealapi.SecretKey, noise_key: bytes, releases: Releases) -> None:
        context = ring.context(params)
        self.params, self._secret, self._noise_key, self.releases = params, secret, noise_key, releases
        self._maker, self._issued = KeyMaker(params, secret), Issued(noise_key, releases.key)
        self._encoder = sealapi.CKKSEncoder(context)
        self._encryptor = sealapi.Encryptor(context, secret)
        self._decryptor = sealapi.Decryptor(context, secret)

    def __repr__(self) -> str:
        return f"SecretContext({self.params.name}, secret)"

    def __reduce__(self) -> str:
        raise TypeError("a CKKS secret key cannot be copied or serialised; it has `save`")

    @classmethod
    def generate(cls, params: ParameterSet) -> Self:
        """A new key from the operating system's randomness (SEAL's generator is seeded from it)."""
        secret = sealapi.KeyGenerator(ring.context(params)).secret_key()
        return cls(params, secret, secrets.token_bytes(release.NOISE_KEY_BYTES), Releases(params.tau))

    def save(self, path: Path) -> None:
        """Write the key file, mode 0600, never over an existing one.

        Raises:
            Unsuitable: the file exists.
            Refused: it cannot be written.
        """
        body = msgspec.msgpack.encode(
            _KeyFile(FORMAT, self.params.name, sealapi_files.save(self._secret), self._noise_key)
        )
        try:
            write_new(path, body, 0o600)
        except FileExistsError:
            raise Unsuitable(str(path), "exists; a key is never overwritten") from None
        except OSError as error:
            raise Refused(f"{path} cannot be written: {error}") from error

    @classmethod
    def load(cls, path: Path) -> SecretContext:
        """Read a key file; what it decrypts is counted beside it.

        Raises:
            KeyRetired: the key has ended.
            Unsuitable: missing, open to others, or not a key file of this format.
        """
        where, releases = str(path), Releases(0, path)
        releases.check()
        try:
            with path.open("rb") as stream:
                mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
                body = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise Unsuitable(where, f"cannot be read ({error.strerror})") from error
        if mode & 0o077:
            raise Unsuitable(where, f"holds a secret key but has mode {mode:04o}; run `chmod 600 {path}`")
        try:
            file = msgspec.msgpack.decode(body, type=_KeyFile)
            params = named(file.parameters)
            secret = sealapi.SecretKey()
            sealapi_files.load(secret, ring.context(params), file.secret)
        except (msgspec.MsgspecError, KeyError, ValueError, RuntimeError):
            raise Unsuitable(where, f"is not a CKKS key file of format {FORMAT}") from None
        if file.format != FORMAT or len(file.noise) != release.NOISE_KEY_BYTES:
            raise Unsuitable(where, f"has format {file.format}; this version reads {FORMAT}")
        return cls(params, secret, file.noise, Releases(params.tau, path))

    def public_keys(self, padded: int, *, combines: bool = False) -> bytes:
        """What an evaluator needs: the public key and the Galois keys in use, packed, `keys_bytes(params, padded)`
        long; for a combiner (`sum_keys`) a relinearisation key too. The same bytes at every call.

        Args:
            padded: P, or 0 for whoever fits in the clear.
            combines: whether they are for the combiner of sums.
        """
        return self._maker.keys(padded, combines)

    def issue(self, padded: int, held: str, *, combines: bool = False) -> bytes:
        """`public_keys` to be sent; nothing where `held` is the digest (`keys_digest`) of such that this key made.

        Raises:
            Refused: what is made cannot be remembered.
        """
        about = f"{padded} {combines} "
        if held and about + held in self._issued:
            return b""
        raw = self.public_keys(padded, combines=combines)
        self._issued.add(about + keys_digest(self.params, padded, raw))
        return raw

    def encrypt(self, values: Values) -> Bytes:
        """Encrypt values, seeded: the second polynomial of each ciphertext travels as 64 bytes.

        Args:
            values: float64 (N, K), at most 1 in absolute value.

        Returns:
            uint8 (ceil(N / n) * K, request_bytes), row block * K + k.

        Raises:
            Unsuitable: a value is not finite or larger than 1.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or not len(values) or not np.abs(values).max() <= 1.0:
            raise Unsuitable("values", "can be encrypted only as an (N, K) table of numbers from -1 to 1")
        params, table = self.params, Packing(self.params, *values.shape)
        out = np.empty((table.requests, params.request_bytes), dtype=np.uint8)
        for number, row in enumerate(out):
            sent = self._encrypt(table.request(values, number), params.levels, 2.0**params.request_bits)
            row[:] = write_request(params, sent)
        return out

    def _encrypt(self, slots: Slots, levels: int, scale: float) -> sealapi_files.SealObject:
        """Complex slots, encrypted on the first `levels` primes, seeded."""
        plain = sealapi.Plaintext()
        self._encoder.encode(slots.tolist(), ring.level(self.params, levels), scale, plain)
        encrypted: sealapi_files.SealObject = self._encryptor.encrypt_symmetric(plain)
        return encrypted

    def decrypt(self, replies: Bytes, rows: int, outputs: int, source: str) -> Values:
        """Decrypt replies.

        Args:
            replies: uint8 (C, reply_bytes), C being `Packing.ciphertexts`.
            rows: how many values of each output are due.
            outputs: K.
            source: where they come from: what all replies of a source have behind their last rows is added up.

        Returns:
            float64 (rows, outputs).

        Raises:
            Malformed: another shape, or a number that is not below its modulus: nothing was decrypted. Or values
                larger than RANGE, as replies under another key, wrapped ones and random bytes give, or padding that is
                not the noise it must be: the key has ended (`refuse`).
            KeyRetired: the key has ended before.
        """
        table = Packing(self.params, rows, outputs)
        due = (table.ciphertexts, self.params.reply_bytes)
        if replies.dtype != np.uint8 or replies.shape != due:
            raise Malformed(f"replies of shape {replies.shape}; {due} is due")
        polynomials = [read_reply(self.params, row) for row in replies]
        fresh = self.releases.admit([row.tobytes() for row in replies])
        slots = [self._decrypt(*pair, row.tobytes()) for pair, row in zip(polynomials, replies, strict=True)]
        self._check(table, slots, fresh, source)
        return release.on_grid(self.params, table.values(slots))

    def _decrypt(self, first: wide.Limbs, second: wide.Limbs, row: bytes) -> Slots:
        """The complex slots of one reply, with the noise that this ciphertext has (`crypto.ckks.release`)."""
        params, primes = self.params, self.params.reply_primes
        seed = release.noise_seed(self._noise_key, params.name, row)
        noise = flooding.draw(params.n, params.release_bits, seed)
        noisy = wide.add(first, noise, -flooding.centre(params.release_bits), primes)
        residues = np.stack([wide.residues(limbs, primes) for limbs in (noisy, second)])
        return np.array(self._encoder.decode_complex(self._open(residues, params.reply_scale)))

    def _open(self, residues: Residues, scale: float) -> sealapi.Plaintext:
        """Decrypt residues (2, primes, n) of coefficients."""
        params, context = self.params, ring.context(self.params)
        ciphertext, plain = sealapi.Ciphertext(), sealapi.Plaintext()
        parms = ring.level(params, residues.shape[1])
        members = sealapi_files.ciphertext_members(parms, params.n, scale, residues, ntt=False)
        sealapi_files.load(ciphertext, context, members)
        sealapi.Evaluator(context).transform_to_ntt_inplace(ciphertext)
        self._decryptor.decrypt(ciphertext, plain)
        return plain

    def refuse(self, source: str, rule: str) -> Malformed:
        """End the key because a decrypted reply cannot be what it should; returns the error to raise.

        That a reply was refused tells whoever made it one bit about the key, so there is no second time.
        """
        self.releases.retire(f"a reply of {source} was refused after it was decrypted ({rule})")
        return Malformed(rule)

    def _check(self, table: Packing, slots: list[Slots], fresh: bool, source: str) -> None:
        """Hold decrypted slots against what they can be: cheap, and passed by whoever forges with care (decision
        0017)."""
        padding = [np.zeros(0)]
        for index, found in enumerate(slots):
            both = np.concatenate([found.real, found.imag])
            if not np.abs(both).max() <= RANGE:
                raise self.refuse(source, f"a reply decrypts to values that are not numbers within {RANGE:g}")
            padding.append(both[~table.used(index)])
        noise = np.concatenate(padding) / release.padding_deviation(self.params)
        if not len(noise):
            return
        refused = np.abs(noise).max() > release.PADDING_LIMIT
        if fresh:
            count, squares = self.releases.add_squares(source, len(noise), float(noise @ noise))
            refused = refused or squares / count > release.spread_limit(count)
        if refused:
            raise self.refuse(source, "a reply has more than noise behind its last row")
