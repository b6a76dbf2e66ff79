"""What a learning stage came to: rounds as they go by, results, and the page to look at."""
