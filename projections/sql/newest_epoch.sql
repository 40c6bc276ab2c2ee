SELECT greatest((SELECT max(epoch) FROM checkpoints), (SELECT max(epoch) FROM events))
