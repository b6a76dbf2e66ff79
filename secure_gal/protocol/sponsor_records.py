"""What the sponsor keeps of a run besides its stage."""

from __future__ import annotations

import msgspec

from secure_gal.measures.evaluation import Evaluation
from secure_gal.protocol.learned import Learned
from secure_gal.state import ARRAY, MARK, NUMBER, RAW, TEXT, Entries, Entry, State, json_of


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of aligned rows: in all, those that train, those that are held out, and how many each party holds."""

    aligned: int
    train: int
    validation: int
    held: dict[str, int]


class SponsorRecords:
    """What the sponsor keeps of a run besides its stage."""

    def __init__(self, state: State) -> None:
        self.nonce = Entry(state, "nonce", TEXT)
        self.run = Entry(state, "run", TEXT)
        self.hello = Entries(state, "hello/", TEXT)
        self.signature = Entries(state, "signature/", TEXT)
        self.finished = Entries(state, "finished/", MARK)
        self.rows = Entry(state, "rows", ARRAY)
        self.unmatched = Entry(state, "unmatched", TEXT)
        """Why there are no rows, for the sponsor's person."""
        self.train = Entry(state, "train", ARRAY)
        self.positions = Entries(state, "positions/", ARRAY)
        self.attempt = Entries(state, "attempt/", NUMBER)
        self.ids = Entries(state, "ids/", RAW)
        self.matches = Entries(state, "match/", RAW)
        self.counts = Entry(state, "counts", json_of(Counts))
        self.encoder = Entry(state, "encoder", RAW)
        self.ensemble = Entries(state, "ensemble/", ARRAY)
        self.alone = Entries(state, "alone/", ARRAY)
        self.models = Entries(state, "model/", RAW, digits=4)
        self.own_coefficients = Entry(state, "own-coefficients", ARRAY)
        self.learned = Entry(state, "learned", json_of(Learned))
        self.evaluation = Entry(state, "evaluation", json_of(Evaluation))
        """Of true labels, for the sponsor's eyes; not there without rows to judge by."""
