"""What the README's figures come from: a generator of raw data at any size, and the measurements made on it."""
