"""What an evaluator can do with ciphertexts, one step of SEAL's evaluator at a time; and how a reply is sanitised."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
from tenseal import sealapi

from crypto.ckks import ring, sealapi_files
from crypto.ckks.ciphertexts import read_request, write_reply
from crypto.ckks.encoder import Encoder
from crypto.ckks.keys import PublicKeys
from crypto.ckks.sealapi_files import Bytes


class Calculator:
    """SEAL's public objects for one set of keys; every ciphertext is on all primes of a request until `sanitise`."""

    def __init__(self, keys: PublicKeys) -> None:
        self.params = keys.params
        self._context = ring.context(keys.params)
        self._galois = keys.galois
        self._evaluator = sealapi.Evaluator(self._context)
        self.encode = Encoder(keys.params).encode
        self._encryptor = sealapi.Encryptor(self._context, keys.public)
        self._top = tuple(self._context.first_parms_id())
        self._elements = {step: ring.rotation(self.params, step) for step in ring.steps(self.params, keys.padded)}

    def read_request(self, row: Bytes) -> sealapi.Ciphertext:
        """A request that arrived; Malformed."""
        return read_request(self.params, row)

    def read_sum(self, packed: bytes, bits: int) -> sealapi.Ciphertext:
        """A ciphertext at scale 2**bits of its own that it wrote with `write_sum`."""
        residues = sealapi_files.unpack(np.frombuffer(packed, dtype=np.uint8))
        return self._rebuild(residues.reshape(2, self.params.levels, self.params.n), 2.0**bits)

    def _rebuild(self, residues: sealapi_files.Residues, scale: float) -> sealapi.Ciphertext:
        out = sealapi.Ciphertext()
        members = sealapi_files.ciphertext_members(self._top, self.params.n, scale, residues)
        sealapi_files.load(out, self._context, members)
        return out

    def write_sum(self, ciphertext: sealapi.Ciphertext) -> bytes:
        """`params.sum_bytes` bytes, for its own disk and processes."""
        saved = sealapi_files.save(ciphertext)
        residues, _ = sealapi_files.split_ciphertext(saved, self.params.levels, self.params.n, seeded=False)
        return sealapi_files.pack(residues).tobytes()

    def add(self, total: sealapi.Ciphertext | None, term: sealapi.Ciphertext | None) -> sealapi.Ciphertext | None:
        """total + term, in total's place; None is zero."""
        if total is None or term is None:
            return term if total is None else total
        self._evaluator.add_inplace(total, term)
        return total

    def add_products(
        self,
        total: sealapi.Ciphertext | None,
        factors: Sequence[sealapi.Ciphertext],
        plains: Sequence[sealapi.Plaintext | None],
    ) -> sealapi.Ciphertext | None:
        """total + sum of factor * plain, in total's place; None is zero."""
        product = sealapi.Ciphertext()
        for factor, plain in zip(factors, plains, strict=True):
            if plain is None:
                continue
            self._evaluator.multiply_plain(factor, plain, product)
            if total is None:
                total, product = product, sealapi.Ciphertext()
            else:
                self._evaluator.add_inplace(total, product)
        return total

    def rotate(self, ciphertext: sealapi.Ciphertext, step: int) -> sealapi.Ciphertext:
        """A new ciphertext whose slot i is slot i + step of this one, by the longest steps that there are keys for;
        `step` is a power of two below n / 2."""
        own = max(there for there in self._elements if there <= step)
        for _ in range(step // own):
            ciphertext = self._apply(ciphertext, self._elements[own])
        return ciphertext

    def conjugate(self, ciphertext: sealapi.Ciphertext) -> sealapi.Ciphertext:
        """A new ciphertext of the complex conjugates."""
        return self._apply(ciphertext, 2 * self.params.n - 1)

    def _apply(self, ciphertext: sealapi.Ciphertext, element: int) -> sealapi.Ciphertext:
        """Apply an automorphism to the ciphertext or, by the toss of a coin, to minus it, and turn the sign back.

        SEAL's digits are not centred, so the noise of switching keys has a mean that the key fixes. The coin makes it
        zero, and noise of any two switches uncorrelated, which the noise bound needs (decision 0003).
        """
        out, turned = sealapi.Ciphertext(), secrets.randbits(1)
        if turned:
            self._evaluator.negate(ciphertext, out)
            self._evaluator.apply_galois_inplace(out, element, self._galois)
            self._evaluator.negate_inplace(out)
        else:
            self._evaluator.apply_galois(ciphertext, element, self._galois, out)
        return out

    def rotations(self, ciphertext: sealapi.Ciphertext, count: int) -> list[sealapi.Ciphertext]:
        """The ciphertext rotated by 0, 1, ..., count - 1."""
        out = [ciphertext]
        while len(out) < count:
            out.append(self.rotate(out[-1], 1))
        return out

    def horner(self, terms: list[sealapi.Ciphertext | None], step: int) -> sealapi.Ciphertext | None:
        """The sum over i of terms[i] rotated by i * step."""
        total: sealapi.Ciphertext | None = None
        for term in reversed(terms):
            total = self.add(self.rotate(total, step) if total is not None else None, term)
        return total

    def zero(self, bits: int, levels: int) -> sealapi.Ciphertext:
        """A fresh public-key encryption of zero at scale 2**bits on the first `levels` primes."""
        out = sealapi.Ciphertext()
        self._encryptor.encrypt_zero(ring.level(self.params, levels), out)
        out.scale = 2.0**bits
        return out

    def sanitise(self, fitted: sealapi.Ciphertext | None, bits: int) -> Bytes:
        """A reply: re-randomised, flooded, and rounded to its leading bytes. Decision 0003 has the proof.

        A parameter set without flooding is for replies that go to someone without the key, who floods what it makes
        of them.

        Args:
            fitted: on all primes at scale 2**bits, or None, which is zero; used up.
            bits: of the scale.

        Returns:
            uint8 (reply_bytes,).
        """
        evaluator, params, kept = self._evaluator, self.params, self.params.reply_levels
        # What this rounds off depends on the data, and is far below the flooding.
        if fitted is not None:
            for _ in range(params.levels - kept):
                evaluator.rescale_to_next_inplace(fitted)
        reply = self.zero(bits, kept)
        if fitted is not None:
            reply.scale = fitted.scale
            evaluator.add_inplace(reply, fitted)
        evaluator.transform_from_ntt_inplace(reply)
        residues, _ = sealapi_files.split_ciphertext(sealapi_files.save(reply), kept, params.n, seeded=False)
        return write_reply(params, residues)
