"""The experiments of the GAL paper (Diao, Ding, Tarokh, NeurIPS 2022) on this product, in the clear and encrypted."""
