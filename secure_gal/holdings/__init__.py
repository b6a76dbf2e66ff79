"""What a party has behind the protocol: its rows, its learner, its saved models."""
