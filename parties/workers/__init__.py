"""A party's own workers on other machines, by Dask; imported by nobody who has none."""
