"""The nouns of the house. No logic, no I/O, and nothing of ours is imported here."""
