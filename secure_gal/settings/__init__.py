"""What a study and a party are told in TOML: literals in, one validated and frozen object out."""
