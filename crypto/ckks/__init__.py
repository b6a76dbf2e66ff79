"""CKKS: approximate arithmetic on ciphertexts, by SEAL. An evaluator imports anything here but `secret*`."""

from crypto.ckks import faster

faster.choice()
