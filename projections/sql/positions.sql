SELECT partition, position FROM checkpoints WHERE partition = ANY ($1::integer[])
