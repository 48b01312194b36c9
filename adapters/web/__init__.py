"""The chat page and its API: one door among others."""
