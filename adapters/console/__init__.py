"""The review console: the door for staff."""
