"""One message in, one reply out, durably: taken in, worked on in order, shown, shown again."""
