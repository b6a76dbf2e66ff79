"""`residuals = "ckks"`: residuals are ciphertexts, and what is fitted to them comes back as ciphertexts."""
