"""What predictions are worth: pure functions of labels and outputs, held against scikit-learn's by tests."""
