"""Between runs: trying destinations, deciding on what is held, keeping share and ledger in order."""
