"""The commands of `prosa`, one file each: what a person types, and what the terminal shows."""
