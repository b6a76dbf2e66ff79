"""A hospital and a laboratory learn together, and nobody pools a table: `python -m examples.two_parties`.

Both parties are in this one process, joined by function calls: `secure_gal.GAL` runs the roles of a study between
machines, and so computes what they compute. It is for experiments and protects nothing, since one process holds both
tables; docs/GUIDE.md goes through the same study between two machines.
"""

from __future__ import annotations

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from secure_gal import GAL
from secure_gal.gal.losses import metric


def main() -> dict[str, float]:
    """AUC on held-out patients: the hospital alone, with the laboratory's help, and with both tables pooled."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_new, y_train, y_new = train_test_split(x, y, test_size=0.2, random_state=0)
    spread = x_train.std(axis=0)
    x_train, x_new = (x_train - x_train.mean(axis=0)) / spread, (x_new - x_train.mean(axis=0)) / spread

    hospital, laboratory = slice(0, 4), slice(4, 30)  # who holds which columns; the labels are the hospital's
    found = {}
    for name, blocks in {"alone": [hospital], "together": [hospital, laboratory], "pooled": [slice(0, 30)]}.items():
        gal = GAL(task="classification", rounds=10).fit([x_train[:, block] for block in blocks], y_train)
        chances = gal.predict_proba([x_new[:, block] for block in blocks])[:, 1:]
        found[name] = metric("classification", y_new, chances)
    return found


if __name__ == "__main__":
    for name, auc in main().items():
        print(f"{name:10} AUC {auc:.3f}")
