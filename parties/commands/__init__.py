"""The commands of `secure-gal`, one file each."""
