"""The hosted share's two doors: who may enter, the servers' configuration, proofs of it, and who fetched what."""
