"""The paper on arrays (GAL, NeurIPS 2022): losses, weights, line search, the ensemble; no party and no byte."""
