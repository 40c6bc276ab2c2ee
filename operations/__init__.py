"""What a person sees of the running system and does to it: acts become events in the log, views come from the read model."""
