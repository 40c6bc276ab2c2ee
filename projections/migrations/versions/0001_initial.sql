-- The read model of Prosa. Nobody writes to these tables but the projector; everything here can be rebuilt from the log.
-- Times are log time. Row-level security is on and has no policy: only the tables' owner, and roles granted a policy later, see rows.

CREATE SCHEMA IF NOT EXISTS prosa;

CREATE TABLE prosa.checkpoints (
    partition       integer PRIMARY KEY,
    epoch           integer NOT NULL,
    position        bigint  NOT NULL,
    appended_at_ms  bigint  NOT NULL DEFAULT 0,
    clock_offset_ms bigint  NOT NULL DEFAULT 0,
    state           json    NOT NULL,
    chain           bytea   NOT NULL DEFAULT '\x',
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE prosa.checkpoints IS 'How far each partition of the log is projected, with the partition''s clock and policy.';

CREATE TABLE prosa.events (
    epoch          integer NOT NULL,
    partition      integer NOT NULL,
    position       bigint  NOT NULL,
    id             text,
    type           text,
    subject        text,
    owner          text,
    correlation_id text,
    appended_at    timestamptz NOT NULL,
    log_time       timestamptz NOT NULL,
    event          json,
    digest         bytea NOT NULL,
    chain          bytea NOT NULL,
    PRIMARY KEY (epoch, partition, position)
) PARTITION BY HASH (partition);
COMMENT ON TABLE prosa.events IS 'The durable archive of the log: every entry as it was read, chained by hash.';

CREATE TABLE prosa.events_0 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE prosa.events_1 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE prosa.events_2 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE prosa.events_3 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE prosa.events_4 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE prosa.events_5 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE prosa.events_6 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE prosa.events_7 PARTITION OF prosa.events FOR VALUES WITH (MODULUS 8, REMAINDER 7);
CREATE INDEX events_subject ON prosa.events (subject, position);

CREATE TABLE prosa.threads (
    thread              text PRIMARY KEY,
    partition           integer NOT NULL,
    owner               text NOT NULL,
    state               json NOT NULL,
    next_deadline_at_ms bigint,
    awaits_answer_since_ms bigint,
    awaits_send_since_ms   bigint
);
COMMENT ON TABLE prosa.threads IS 'What deciding about a thread needs, as the fold left it. Not for queries: see conversations.';
CREATE INDEX threads_due ON prosa.threads (partition, next_deadline_at_ms) WHERE next_deadline_at_ms IS NOT NULL;
CREATE INDEX threads_awaiting_answer ON prosa.threads (partition, awaits_answer_since_ms)
    WHERE awaits_answer_since_ms IS NOT NULL;
CREATE INDEX threads_awaiting_send ON prosa.threads (partition, awaits_send_since_ms) WHERE awaits_send_since_ms IS NOT NULL;

CREATE TABLE prosa.conversations (
    id                       text PRIMARY KEY,
    owner                    text NOT NULL,
    thread                   text NOT NULL,
    partition                integer NOT NULL,
    status                   text NOT NULL CHECK (status IN ('pending', 'active', 'idle', 'handoff', 'expired', 'closed')),
    closed_by                text CHECK (closed_by IN ('contact', 'ai', 'person', 'failure')),
    opened_at                timestamptz NOT NULL,
    last_activity_at         timestamptz NOT NULL,
    next_deadline_at         timestamptz,
    ended_at                 timestamptz,
    taken_by                 text,
    previous_conversation_id text
);
COMMENT ON TABLE prosa.conversations IS 'One sitting on a thread; its id is the id of the event that opened it.';
CREATE INDEX conversations_due ON prosa.conversations (partition, next_deadline_at) WHERE next_deadline_at IS NOT NULL;
CREATE INDEX conversations_thread ON prosa.conversations (thread, opened_at);
CREATE INDEX conversations_status ON prosa.conversations (owner, status, last_activity_at);

CREATE TABLE prosa.messages (
    id              text PRIMARY KEY,
    owner           text NOT NULL,
    thread          text NOT NULL,
    conversation_id text,
    direction       text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    sid             text NOT NULL,
    kind            text NOT NULL,
    body            text,
    status          text NOT NULL,
    error_code      integer,
    at              timestamptz NOT NULL,
    profile_name    text,
    choice          text,
    media           jsonb NOT NULL DEFAULT '[]',
    event_id        text NOT NULL,
    reply_id        text,
    part            integer,
    attempt         text,
    epoch           integer NOT NULL,
    position        bigint  NOT NULL
);
COMMENT ON TABLE prosa.messages IS 'Every WhatsApp message, either way; position orders those of one thread.';
CREATE INDEX messages_conversation ON prosa.messages (conversation_id, epoch, position);
CREATE INDEX messages_thread ON prosa.messages (thread, epoch, position);
CREATE INDEX messages_event ON prosa.messages (event_id);

CREATE TABLE prosa.replies (
    id              text PRIMARY KEY,
    owner           text NOT NULL,
    thread          text NOT NULL,
    conversation_id text,
    kind            text NOT NULL CHECK (kind IN ('answer', 'failure_sentence', 'person')),
    status          text NOT NULL,
    event_id        text NOT NULL,
    at              timestamptz NOT NULL,
    answers         text[] NOT NULL,
    parts           jsonb NOT NULL,
    closes          boolean NOT NULL,
    hands_off       boolean NOT NULL,
    model           text NOT NULL,
    replied_by      text
);
COMMENT ON TABLE prosa.replies IS 'What was said, or would have been; answers holds the ids of the inbound events that it answers.';
CREATE INDEX replies_conversation ON prosa.replies (conversation_id, at);
CREATE INDEX replies_event ON prosa.replies (event_id);

CREATE TABLE prosa.dead_letters (
    event_id        text NOT NULL,
    consumer_group  text NOT NULL,
    owner           text NOT NULL,
    thread          text NOT NULL,
    conversation_id text,
    status          text NOT NULL,
    error           text NOT NULL,
    fingerprint     text NOT NULL,
    attempts        integer NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (event_id, consumer_group)
);
COMMENT ON TABLE prosa.dead_letters IS 'What a consumer group gave up, and what became of it.';
CREATE INDEX dead_letters_status ON prosa.dead_letters (status, at);

CREATE TABLE prosa.skipped_events (
    epoch      integer NOT NULL,
    partition  integer NOT NULL,
    position   bigint  NOT NULL,
    thread     text    NOT NULL,
    error      text    NOT NULL,
    value      bytea   NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (epoch, partition, position, thread)
);
COMMENT ON TABLE prosa.skipped_events IS 'Poison: entries that could not be decoded, or not folded into one thread. A rebuild honours the record.';

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'prosa'::regnamespace AND c.relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE prosa.%I ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
    REVOKE ALL ON SCHEMA prosa FROM PUBLIC;
    REVOKE ALL ON ALL TABLES IN SCHEMA prosa FROM PUBLIC;
    FOR name IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA prosa FROM %I', name);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA prosa FROM %I', name);
    END LOOP;
    -- Unqualified names resolve for this role in this database, also behind a pooler that passes no start-up parameters on.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = prosa, "$user", public', current_user, current_database());
END
$$;
