"""What the paper's experiments are run on: one file a kind of data; nothing is downloaded."""
