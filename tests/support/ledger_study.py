"""Ledgers of a whole small study, written from real signed messages, without running the algorithm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from crypto.identity import Card, Identity
from parties.run.archive import Archive
from secure_gal import messages
from secure_gal.messages.certificate import Certificate, certificate_statement
from secure_gal.protocol.agreement import statement
from secure_gal.settings.study import Protect, Study
from tests.conftest import identity
from transport import wire
from transport.ledger import LEDGER, Ledger, Row

NAMES = ("hospital", "lab", "insurer")
RUN = "cd" * 32


def study(residuals: Literal["none", "ckks"] = "none", seed: int = 0) -> Study:
    protect = Protect(ids="clear", residuals=residuals)
    return Study("s", "regression", NAMES[0], "tcp://x:1", NAMES[1:], loss="l2", seed=seed, protect=protect)


class MemoryJournal:
    """A journal that survives the simulated crash of its ledger, as run.db does."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = list(rows)

    def ledger_lines(self) -> Iterator[bytes]:
        return iter([row.line for row in self.rows])

    def commit_ledger(self, rows: Sequence[Row]) -> None:
        self.rows += rows


class LedgerStudy:
    """Three parties that exchange messages and log them; `identities` may be swapped for forgers."""

    def __init__(self, folder: Path, settings: Study | None = None, run: str = RUN) -> None:
        self.settings, self.run = settings or study(), run
        self.identities: dict[str, Identity] = {name: identity(name) for name in NAMES}
        self.cards: dict[str, Card] = {name: i.card for name, i in self.identities.items()}
        prints = {name: card.fingerprint for name, card in self.cards.items()}
        self.digest, self.canonical = self.settings.digest(prints), self.settings.canonical(prints)
        self.folders = {name: folder / name for name in NAMES}
        self.journals = {name: MemoryJournal() for name in NAMES}
        self.links: dict[tuple[str, str], int] = {}
        self.ledgers: dict[str, Ledger] = {}
        for name in NAMES:
            self.folders[name].mkdir(parents=True, exist_ok=True)
            self.open(name)

    def open(self, name: str) -> Ledger:
        opened = Ledger.open(
            self.folders[name],
            self.identities[name],
            self.canonical,
            self.digest,
            self.cards.values(),
            self.journals[name],
        )
        self.ledgers[name] = opened
        return opened

    def path(self, name: str) -> Path:
        return self.folders[name] / LEDGER

    def paths(self) -> list[Path]:
        return [self.path(name) for name in NAMES]

    def log(self, name: str, row: Row) -> None:
        self.journals[name].commit_ledger([row])
        self.ledgers[name].flush()

    def send(self, sender: str, recipient: str, message: messages.Message, arrives: bool = True) -> None:
        seq = self.links[sender, recipient] = self.links.get((sender, recipient), 0) + 1
        run = "" if message.ABOUT.before_run else self.run
        frames = wire.encode(
            message,
            study=self.digest,
            run=run,
            sender=sender,
            recipient=recipient,
            seq=seq,
            identity=self.identities[sender],
        )
        self.log(sender, self.ledgers[sender].message("sent", self.cards[recipient], frames))
        if arrives:
            self.log(recipient, self.ledgers[recipient].message("received", self.cards[sender], frames))

    def agree(self) -> None:
        signed = {n: i.sign(statement(self.digest, self.run)).hex() for n, i in self.identities.items()}
        for lab in NAMES[1:]:
            self.send(lab, "hospital", messages.Hello(messages.Greeting("0" * 32, "{}")))
            self.send("hospital", lab, messages.RunOffer(messages.Nonces({lab: "0" * 32}, "{}")))
            self.send(lab, "hospital", messages.RunSignature(messages.Signatures({lab: signed[lab]})))
            self.send("hospital", lab, messages.RunAgreement(messages.Signatures(signed)))
            self.send(lab, "hospital", messages.Ids(("a", "b")))

    def round(self, number: int, certify: bool = True) -> None:
        values = np.full((2, 1), number, dtype=np.float32)
        for lab in NAMES[1:]:
            self.send("hospital", lab, messages.Residual(values, number))
            self.send(lab, "hospital", messages.Fitted(values, number))
        if certify:
            certificate = self.certificate(number)
            for name in NAMES:
                self.log(name, self.ledgers[name].certificate(certificate))

    def certificate(self, number: int) -> Certificate:
        heads = {name: ledger.head for name, ledger in self.ledgers.items()}
        text = certificate_statement(self.digest, self.run, number, heads)
        signatures = {name: i.sign(text).hex() for name, i in self.identities.items()}
        return Certificate(self.digest, self.run, number, heads, signatures)


def whole_study(folder: Path, rounds: int = 2, seed: int = 0) -> LedgerStudy:
    """A finished study of `rounds` certified rounds."""
    made = LedgerStudy(folder, study(seed=seed))
    made.agree()
    for number in range(1, rounds + 1):
        made.round(number)
    return made


def to_the_lab(study: LedgerStudy, message: messages.Message) -> list[bytes]:
    """A message of the hospital's to the lab as it is sent."""
    return wire.encode(
        message,
        study=study.digest,
        run=study.run,
        sender="hospital",
        recipient="lab",
        seq=3,
        identity=identity("hospital"),
    )


def archived(study: LedgerStudy, message: messages.Message) -> tuple[Archive, Row]:
    """A message of the hospital's to the lab in the hospital's archive, and its row, which is not logged yet."""
    study.agree()
    frames = to_the_lab(study, message)
    row = study.ledgers["hospital"].message("sent", study.cards["lab"], frames)
    archive = Archive(study.folders["hospital"], identity("hospital"))
    archive.write(row.seq, frames)
    return archive, row
