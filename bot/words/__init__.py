"""What people write and what the bot says back, language by language; no knowledge, no models."""
