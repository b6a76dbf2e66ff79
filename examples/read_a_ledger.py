"""Reading a ledger, and proving one line of it to a third party.

    make demo
    python -m examples.read_a_ledger demo/hospital/run/ledger.jsonl demo/*/keys/*.card

A ledger lies in every party's run directory, with its owner's signature over the whole beside it (`ledger.head`). The
cards are what the reader trusts: those of the ledger's owner and of whoever sent the message.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from parties.audit.ledger import Verdict, verify_ledger
from parties.audit.proof import Proven, prove, verify_proof
from parties.run.keys import read_card
from transport.ledger_entries import Entry, MessageEntry


def read(ledger: Path) -> tuple[Verdict, Counter[tuple[str, str]], int]:
    """Verify a ledger; what it says in sum, its messages by direction and kind, and the number of its last message.

    Raises:
        LedgerError: a line, the chain, a certificate or the signed head does not verify.
    """
    counts: Counter[tuple[str, str]] = Counter()
    last = 0

    def visit(line: bytes, entry: Entry) -> None:
        nonlocal last
        if isinstance(entry, MessageEntry):
            counts[entry.direction, entry.header.kind] += 1
            last = entry.seq

    return verify_ledger(ledger, visit=visit), counts, last


def show_to_a_third_party(ledger: Path, seq: int, cards: Sequence[Path]) -> Proven:
    """What whoever gets the proof file of one line finds, with the cards and nothing else of the ledger.

    Raises:
        LedgerError: the ledger or the proof does not verify.
        SettingsError: `seq` is no message, or a card is missing.
    """
    with TemporaryDirectory() as folder:
        proof = Path(folder) / "proof.json"
        proof.write_bytes(prove(ledger, seq, with_salts=False))
        return verify_proof(proof, [read_card(card) for card in cards], {})


def main(ledger: Path, cards: Sequence[Path]) -> None:
    """Print what a ledger says, and what a proof of its last message shows."""
    verdict, counts, last = read(ledger)
    print(f"{verdict.owner}'s ledger of the study {verdict.study}: {verdict.entries} lines verify")
    print(f"{verdict.certified_entries} of them are under a certificate that every party signed")
    for (direction, kind), count in sorted(counts.items()):
        print(f"  {count:5} {kind} {direction}")
    proven = show_to_a_third_party(ledger, last, cards)
    print(f"a proof of line {proven.seq}: {proven.sender} sent {proven.kind} to {proven.recipient}, {proven.time}")
    print(f"certified by {', '.join(proven.certified_by) or 'nobody yet: its owner alone signed it'}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
