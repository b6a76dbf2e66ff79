"""Leakage attacks: what a party can infer from what it received, each against what it could infer without it.

Pure functions on arrays; they open nothing and send nothing. One set serves the command line and the benchmark.

    finding.py      a score, its baseline and the gain, with confidence intervals
    labels.py       an assistor against the sponsor's labels, from residuals or anything else with a row a person
    known_rows.py   an attacker who knows the truth of some rows, and its models
    columns.py      the sponsor against an assistor's columns, from fitted values
    sums.py         the sponsor against all assistors' columns, from the weighted sums of many rounds
    aggregator.py   labels from inner products, weights and learning rates
    ciphertexts.py  what can be read from ciphertexts without the key, and from replies that were not sanitised
    requests.py     ciphertexts that arrived, as such numbers
    meter.py        a party scores what it gave away against its own truth; the gate
"""
