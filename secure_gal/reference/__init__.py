"""The whole protocol in one process: the oracle of the tests, and the researcher's API."""

from secure_gal.reference.gal import GAL

__all__ = ["GAL"]
