"""`predictions = "sum"`: the sponsor sees weighted sums over all assistors, and no assistor's own fit or part."""
