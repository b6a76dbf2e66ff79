"""Two frames of the same people, learnt from in the clear and by ciphertexts; kept, asked and drawn, in 25 lines."""

import pandas as pd
from sklearn.datasets import load_breast_cancer

from secure_gal import GAL

table, benign = load_breast_cancer(return_X_y=True, as_frame=True)
table.index = "patient " + table.index.astype(str)
known, new = table.index[:450], table.index[450:]
hospital, lab = table.iloc[:, :5], table.iloc[::-1, 5:]  # other columns of the same people, in another order
labels = pd.Series(benign.map({0: "malignant", 1: "benign"}).to_numpy(), table.index)  # the hospital's
for residuals in ("none", "ckks"):
    gal = GAL(rounds=5, parties=["hospital", "lab"], residuals=residuals)
    gal.fit([hospital.loc[known], lab[lab.index.isin(known)]], labels[known])
    auc = gal.evaluation_["roc_auc"]  # of values from fits that have not seen the patient, with 95% intervals
    lines = ["{} {value:.3f} ({low:.3f} to {high:.3f})".format(who, **found) for who, found in auc.items()]
    print(residuals, *lines, sep=", AUC ")

gal.save("study.gal")
again = GAL.load("study.gal")
print("new patients that are told right:", again.score([hospital.loc[new], lab.loc[new]], labels[new]))
again.plot_rounds().figure.savefig("rounds.png")
again.plot_weights().figure.savefig("weights.png")
print(pd.DataFrame(gal.contributions_), pd.DataFrame(gal.transcript_), gal.manifest_, sep="\n\n")
