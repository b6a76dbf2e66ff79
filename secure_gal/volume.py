"""How many bytes of payload say something of rows, and between whom, from a study's settings and its number of rows.

`secure_gal.forecast.traffic` adds what goes around them, and the messages that say nothing of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from secure_gal.gal.split import split_rows
from secure_gal.phases import Role
from secure_gal.protection import fitted_mode, residual_mode
from secure_gal.settings.study import Study


@dataclass(frozen=True, slots=True)
class Flow:
    """All messages of one kind from one party to another, in bytes; `what` names their purpose."""

    message: str
    sender: str
    receiver: str
    nbytes: int
    what: str


@dataclass(frozen=True, slots=True)
class Volume:
    """What a study of so many rows moves if every party holds all of them, and every round is run.

    Of evaluation keys it is the most where the width is not known; an assistor that has them of an earlier run is sent
    none.

    Attributes:
        rows: N, training and validation rows.
        id_bytes: of the list of N ids, as JSON; only `ids = "clear"` sends it.
        width: columns of the assistors' encrypted heads, padded; 0 where it is not known.
    """

    study: Study
    rows: int
    id_bytes: int
    width: int = 0

    def learning(self) -> list[Flow]:
        """Of the learning stage, by kind and pair of parties."""
        summed = self.study.protect.summed
        rounds = self._summed() if summed else self._encrypted() if self.study.protect.encrypted else self._clear()
        return [flow for flow in (*self._alignment(), *rounds) if flow.nbytes]

    def predicting(self, ids: int) -> list[Flow]:
        """Of one batch of so many ids, all of them known to everybody."""
        private = self.study.protect.ids == "psi"
        asked = self._private(ids, "predict-rows", 4 * ids) if private else self._in_the_clear(ids)
        parts = self._summed_parts(ids) if self.study.protect.summed else self._parts(ids)
        return [flow for flow in (*asked, *parts) if flow.nbytes]

    @property
    def _train(self) -> int:
        return int(split_rows(self.rows, self.study.validation, self.study.seed).sum())

    def _kind(self, role: Role, phase: str) -> str:
        """The one message of the study's modes that a role may take again and again in this phase."""
        study = self.study
        steps = (*residual_mode(study).steps, *fitted_mode(study).steps(study, study.sponsor))
        (kind,) = {step.kind for step in steps if (step.role, step.phase) == (role, phase) and phase in step.to}
        return kind

    def _down(self, message: str, nbytes: int, what: str, to: Iterable[str] = ()) -> Iterator[Flow]:
        """From the sponsor to these assistors, or all."""
        for peer in to or self.study.assistors:
            yield Flow(message, self.study.sponsor, peer, nbytes, what)

    def _up(self, message: str, nbytes: int, what: str, of: Iterable[str] = ()) -> Iterator[Flow]:
        """From these assistors, or all, to the sponsor."""
        for peer in of or self.study.assistors:
            yield Flow(message, peer, self.study.sponsor, nbytes, what)

    def _alignment(self) -> Iterator[Flow]:
        rows = 5 * self.rows  # a position of 4 bytes, and a flag
        if self.study.protect.ids == "psi":
            return self._private(self.rows, "rows", rows)
        return iter([*self._up("ids", self.id_bytes, "alignment"), *self._down("rows", rows, "alignment")])

    def _private(self, ids: int, last: str, nbytes: int) -> Iterator[Flow]:
        from crypto.psi import POINT_BYTES, tag_bytes

        yield from self._up("masked-ids", POINT_BYTES * self.rows, "alignment")
        yield from self._down("masked-query", POINT_BYTES * ids, "alignment")
        yield from self._up("tags", tag_bytes(ids, self.rows) * ids, "alignment")
        yield from self._down(last, nbytes, "alignment")

    def _in_the_clear(self, ids: int) -> Iterator[Flow]:
        listed = self.id_bytes * ids // max(1, self.rows)
        if self.study.protect.summed:
            yield from self._down("known-request", listed, "alignment")
            yield from self._up("known-reply", ids, "alignment")
        yield from self._down("predict-request", listed, "alignment")

    def _clear(self) -> Iterator[Flow]:
        rounds = self.study.rounds
        yield from self._residuals()
        yield from self._up(self._kind("sponsor", "learning"), 4 * self.rows * self.study.k * rounds, "fits")
        yield from self._down("finish", 8 * rounds, "residuals")

    def _residuals(self) -> Iterator[Flow]:
        """In the clear, every round."""
        kind = self._kind("assistor", "learning")
        return self._down(kind, 4 * self._train * self.study.k * self.study.rounds, "residuals")

    def _requests(self) -> Iterator[Flow]:
        """As ciphertexts, every round and at the end, and the keys to compute on them."""
        from crypto.ckks.keys import keys_bytes, most_keys_bytes
        from crypto.ckks.sets import named
        from crypto.ckks.slots import Packing

        params = named(self.study.protect.parameter_set)
        request = Packing(params, self._train, self.study.k).requests * params.request_bytes
        keys = keys_bytes(params, self.width) if self.width else most_keys_bytes(params)
        yield from self._down("evaluation-keys", keys, "keys")
        yield from self._down("encrypted-residual", request * self.study.rounds, "residuals")
        yield from self._down("encrypted-finish", request, "residuals")

    def _encrypted(self) -> Iterator[Flow]:
        yield from self._requests()
        yield from self._up("encrypted-fitted", self._replies(self.rows) * self.study.rounds, "fits")

    def _replies(self, rows: int) -> int:
        from crypto.ckks.sets import named
        from crypto.ckks.slots import Packing

        params = named(self.study.protect.parameter_set)
        return Packing(params, rows, self.study.k).ciphertexts * params.reply_bytes

    def _summed(self) -> Iterator[Flow]:
        from crypto.ckks.fits import DIFFERENCE_BYTES, SUM, Layout
        from crypto.ckks.keys import keys_bytes
        from crypto.ckks.products import PRODUCT_BYTES, pairs
        from crypto.sealed_box import OVERHEAD_BYTES

        study, adder, rounds = self.study, (self.study.adder,), self.study.rounds
        others = [peer for peer in study.assistors if peer != study.adder]
        layout = Layout(self._train, self.rows - self._train, self.study.k)
        sealed = (layout.fit_bytes + OVERHEAD_BYTES) * rounds
        if study.protect.encrypted:
            yield from self._requests()
        else:
            yield from self._residuals()
            yield from self._down("evaluation-keys", keys_bytes(SUM, 0), "keys")
        more = 1 if study.protect.encrypted else 2  # relinearisation, and conjugation where no fit needs it
        yield from self._down("evaluation-keys", more * SUM.galois_key_bytes, "keys", adder)
        yield from self._up("sealed-fitted", sealed, "fits", others)
        yield from self._down("relayed-fitted", sealed * len(others), "fits", adder)
        if study.weights != "uniform":
            own, numbers = (
                layout.training.ciphertexts * DIFFERENCE_BYTES,
                len(pairs(len(study.assistors), True)),
            )
            yield from self._down("own-difference", own * rounds, "fits", adder)
            yield from self._up("inner-products", numbers * PRODUCT_BYTES * rounds, "fits", adder)
        yield from self._up("weighted-sum", layout.ciphertexts * SUM.reply_bytes * rounds, "fits", adder)

    def _parts(self, ids: int) -> Iterator[Flow]:
        values = self._replies(ids) if self.study.protect.encrypted else 4 * ids * self.study.k
        return self._up(self._kind("prediction", "open"), ids + values, "parts")

    def _summed_parts(self, ids: int) -> Iterator[Flow]:
        from crypto.ckks.fits import SUM, Layout
        from crypto.sealed_box import OVERHEAD_BYTES

        adder = self.study.adder
        others = [peer for peer in self.study.assistors if peer != adder]
        layout = Layout(0, ids, self.study.k)
        sealed = layout.fit_bytes + OVERHEAD_BYTES
        yield from self._up("sealed-part", sealed, "parts", others)
        yield from self._down("relayed-part", sealed * len(others), "parts", (adder,))
        yield from self._up("summed-part", layout.ciphertexts * SUM.reply_bytes, "parts", (adder,))
