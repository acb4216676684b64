"""Input that nobody meant: `python -m fuzz PART` tries as much of it as time allows, led by what it reaches."""
