"""Reading, proving and comparing ledgers."""
