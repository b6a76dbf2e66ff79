"""The evaluation keys that a secret key makes: each of them once, whoever they are for."""

from __future__ import annotations

from tenseal import sealapi

from crypto.ckks import ring, sealapi_files
from crypto.ckks.params import ParameterSet


class KeyMaker:
    """Makes and keeps the parts of all evaluators' keys, so that whoever shares one gets the same bytes."""

    def __init__(self, params: ParameterSet, secret: sealapi.SecretKey) -> None:
        context = ring.context(params)
        self._params, self._top = params, tuple(context.key_parms_id())
        self._generator, self._encryptor = sealapi.KeyGenerator(context, secret), sealapi.Encryptor(context, secret)
        self._public, self._relinearisation = b"", b""
        self._galois: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"KeyMaker({self._params.name}, secret)"

    def keys(self, padded: int, combines: bool) -> bytes:
        """The public key, a key of each Galois element, conjugation first, and a combiner's relinearisation key.

        Args:
            padded: P, or 0 for whoever fits in the clear.
            combines: whether they are for the combiner of sums, who conjugates and relinearises whatever it fits.
        """
        conjugation = 2 * self._params.n - 1
        elements = ring.galois_elements(self._params, padded) if padded else [conjugation] * combines
        if not self._public:
            self._public = self._zero()
        parts = [self._public, *map(self._switching, elements)]
        if combines and not self._relinearisation:
            self._relinearisation = self._digits(sealapi_files.save(self._generator.create_relin_keys()))
        return b"".join([*parts, self._relinearisation] if combines else parts)

    def _switching(self, element: int) -> bytes:
        if element not in self._galois:
            self._galois[element] = self._digits(sealapi_files.save(self._generator.create_galois_keys([element])))
        return self._galois[element]

    def _zero(self) -> bytes:
        """A public key, which is an encryption of zero on all primes; the bindings have no seeded one by its name."""
        params, members = self._params, sealapi_files.save(self._encryptor.encrypt_zero_symmetric(self._top))
        residues, seed = sealapi_files.split_ciphertext(members, params.levels + 1, params.n, seeded=True)
        return sealapi_files.pack(residues).tobytes() + seed

    def _digits(self, members: bytes) -> bytes:
        parts = sealapi_files.split_galois(members, self._params.levels, self._params.n)
        return b"".join(sealapi_files.pack(residues).tobytes() + seed for residues, seed in parts)
