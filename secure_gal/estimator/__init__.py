"""The researcher's door: an estimator by scikit-learn's rules that runs a study's own roles in this process."""

from secure_gal.estimator.gal import GAL

__all__ = ["GAL"]
