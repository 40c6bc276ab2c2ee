"""What is well with a system and what is not, each with its remedy: one file per thing that is looked at. Nothing here writes."""
