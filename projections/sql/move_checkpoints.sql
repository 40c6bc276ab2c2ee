UPDATE checkpoints
SET position = moved.position,
    appended_at_ms = moved.appended_at_ms,
    clock_offset_ms = moved.clock_offset_ms,
    state = moved.state::json,
    chain = moved.chain,
    updated_at = now()
FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[])
    AS moved (partition, position, appended_at_ms, clock_offset_ms, state, chain)
WHERE checkpoints.partition = moved.partition
