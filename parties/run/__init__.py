"""One party at work: its loop, its node, what it keeps on disk, and what it says."""
