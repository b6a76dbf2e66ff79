"""Public sets as they are distributed, read with no edit: what `secure-gal check` makes of their columns.

    python -m benchmarks.public_tables --data DIR      # exit code 1 where a column is not what it is known to be

DIR holds tabular/adult-train.csv.gz (blanks after commas, ? for missing values, no header), uci_default_credit_card.csv
and bank-full.csv.gz. UCI distributes the last with semicolons and quotes, which this copy has no longer: they are put
back first.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from parties.commands.setup import check_party, keygen, trust_card
from secure_gal.data import schema_file
from secure_gal.settings.load import load_party


class Public(NamedTuple):
    """A set: its file, what `[data]` says of it besides the path, and how many features of each kind it has."""

    file: str
    said: str
    kinds: dict[str, int]


SETS = {
    "adult": Public(
        "adult-train.csv.gz", 'id = "#row"\nlabel = "column_14"\nheader_row = 0\n', {"number": 6, "category": 8}
    ),
    "default_credit": Public(
        "uci_default_credit_card.csv", 'id = "ID"\nlabel = "default.payment.next.month"\n', {"number": 23}
    ),
    "bank": Public("bank-full.csv.gz", 'id = "#row"\nlabel = "y"\n', {"number": 7, "category": 9}),
}


def as_distributed(name: str, raw: bytes) -> bytes:
    """The bytes of a set's file; those of bank with semicolons, and quotes around texts."""
    if name != "bank":
        return raw
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in csv.reader(io.StringIO(gzip.decompress(raw).decode())):
        writer.writerow([int(value) if value.lstrip("-").isdigit() else value for value in row])
    return gzip.compress(out.getvalue().encode())


def checked(name: str, data: Path, folder: Path) -> tuple[str, dict[str, int]]:
    """(what `check` prints, features by kind) of a study whose sponsor holds this set."""
    for party in ("s", "l"):
        keygen(party, folder / f"keys-{party}")
    trust_card(folder / "keys-l/l.card", folder / "keys-s", False, lambda text: True)
    about = SETS[name]
    (folder / about.file).write_bytes(as_distributed(name, (data / "tabular" / about.file).read_bytes()))
    (folder / "study.toml").write_text(
        f'name = "{name.replace("_", "-")}"\ntask = "classification"\nsponsor = "s"\n'
        'address = "tcp://127.0.0.1:7101"\nassistors = ["l"]\n'
    )
    party_file = folder / "s.toml"
    party_file.write_text(
        'study = "study.toml"\nparty = "s"\nhome = "keys-s"\nrun_dir = "run"\nbind = "tcp://127.0.0.1:7101"\n'
        f'[data]\npath = "{about.file}"\n{about.said}'
    )
    text = check_party(party_file)
    settings = load_party(party_file)[0].data
    schema = schema_file.read(settings.schema or Path(), settings)
    return text, dict(Counter(field.kind for field in schema.features)) if schema is not None else {}


def main() -> int:
    """Print what is found of each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    asked, wrong = parser.parse_args(), 0
    for name, about in SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            text, kinds = checked(name, asked.data, Path(folder))
        shown = text[text.index("\nfile: ") : text.index("how ids are written")].strip()
        print(f"{name}: {kinds}{'' if kinds == about.kinds else f', expected {about.kinds}'}\n{shown}\n")
        print(text[text.index("\nlabel ") :].strip(), end="\n\n", flush=True)
        wrong += kinds != about.kinds
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
