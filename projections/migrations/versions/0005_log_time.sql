-- What an age is compared with: never the last entry that was folded, since a projector that stands still would show that nothing waits.

CREATE OR REPLACE FUNCTION prosa.log_time() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT now() + make_interval(secs => coalesce(max(clock_offset_ms), 0) / 1000.0) FROM prosa.checkpoints
$function$;
COMMENT ON FUNCTION prosa.log_time() IS 'The log''s clock by now: the server''s, and what the development clock runs ahead of it.';

-- Only who may use the schema can call it, and it sees what they may see. Said for databases where new functions are nobody's.
GRANT EXECUTE ON FUNCTION prosa.log_time() TO PUBLIC;
