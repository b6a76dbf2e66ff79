"""XGBoost on the pooled columns, in one process and in the clear. Runs in XGBoost's environment.

    python xgboost_pooled.py TABLES --scores scores.csv

Ten trees of depth five, as `secretflow_party.py sgb` has; what is not named here is XGBoost's own default.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost


def main() -> None:
    """Learn, score the test rows, one a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, help="folder with {guest,host}_{train,test}.csv")
    parser.add_argument("--scores", type=Path, required=True)
    asked = parser.parse_args()
    train, test = (
        pd.concat([pd.read_csv(asked.tables / f"{party}_{part}.csv") for party in ("guest", "host")], axis=1)
        for part in ("train", "test")
    )
    columns = [name for name in train if name not in ("guest_id", "host_id", "y")]
    settings = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.3, "nthread": 1}
    model = xgboost.train(settings, xgboost.DMatrix(train[columns], train["y"]), num_boost_round=10)
    np.savetxt(asked.scores, model.predict(xgboost.DMatrix(test[columns])))


if __name__ == "__main__":
    main()
