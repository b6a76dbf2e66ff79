"""The aggregator's share of an assistor's state."""

from __future__ import annotations

from secure_gal.state import ARRAY, MASK, NUMBER, RAW, TEXT, Entries, Entry, State


class AggregatorRecords:
    """A share of the assistor's state."""

    def __init__(self, state: State) -> None:
        self.run = Entry(state, "run", TEXT)
        self.train = Entry(state, "train", MASK)
        self.rows = Entry(state, "sum/rows", TEXT)
        self.keys = Entry(state, "keys", RAW)
        self.round = Entry(state, "sum/round", NUMBER)
        self.fits = Entries(state, "sum/fit/", ARRAY)
        self.residual = Entry(state, "sum/residual", ARRAY)
        self.difference = Entry(state, "sum/difference", ARRAY)
        self.products = Entry(state, "sum/products", NUMBER)
        self.weights = Entry(state, "sum/weights", ARRAY)
        self.batch = Entry(state, "sum/batch", NUMBER)
        self.about = Entries(state, "sum/about/", TEXT)
        self.own_parts = Entries(state, "sum/own/", RAW)
        self.parts = Entries(state, "sum/part/", ARRAY)
