"""`residuals = "none"`, `predictions = "none"`: residuals and fits are seen as they are."""
