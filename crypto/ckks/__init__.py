"""CKKS: approximate arithmetic on ciphertexts, by SEAL. An evaluator imports anything here but `secret*`."""
