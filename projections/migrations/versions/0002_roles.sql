-- Two group roles, to be granted to login users: prosa_app (what the processes need) and prosa_read (what a dashboard needs).
-- Roles belong to the whole cluster, rights to this database. Where this role may not create roles, somebody else does, later:
--     CREATE ROLE prosa_app NOLOGIN; CREATE ROLE prosa_read NOLOGIN;
-- and then the owner of the schema: CALL prosa.grant_to_roles();

-- Gives the two roles their rights on every table; whatever else they had there is revoked. Each migration that makes a table calls it. Policies do not filter rows: who may read, reads all of them. The partitions of events are reached through events only.
CREATE OR REPLACE PROCEDURE prosa.grant_to_roles()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $procedure$
DECLARE
    of_table RECORD;
    of_role  RECORD;
BEGIN
    FOR of_role IN
        SELECT wanted.name, rolname IS NOT NULL AS is_there
        FROM unnest(ARRAY['prosa_app', 'prosa_read']) AS wanted (name)
        LEFT JOIN pg_roles ON rolname = wanted.name
    LOOP
        IF NOT of_role.is_there THEN
            RAISE NOTICE 'The role % does not exist, and this one may not create it. Have it created (CREATE ROLE % NOLOGIN), '
                'and then run as this role: CALL prosa.grant_to_roles()', of_role.name, of_role.name;
            CONTINUE;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA prosa TO %I', of_role.name);
        FOR of_table IN
            SELECT relname AS name,
                CASE
                    WHEN of_role.name = 'prosa_read' OR relname = 'alembic_version' THEN 'SELECT'
                    WHEN relname IN ('events', 'skipped_events') THEN 'SELECT, INSERT'
                    ELSE 'SELECT, INSERT, UPDATE'
                END AS rights
            FROM pg_class
            WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        LOOP
            EXECUTE format('REVOKE ALL ON prosa.%I FROM %I', of_table.name, of_role.name);
            EXECUTE format('GRANT %s ON prosa.%I TO %I', of_table.rights, of_table.name, of_role.name);
            IF NOT EXISTS (
                SELECT FROM pg_policies WHERE schemaname = 'prosa' AND tablename = of_table.name AND policyname = of_role.name
            ) THEN
                EXECUTE format(
                    'CREATE POLICY %I ON prosa.%I FOR %s TO %I USING (true)',
                    of_role.name, of_table.name, CASE of_table.rights WHEN 'SELECT' THEN 'SELECT' ELSE 'ALL' END, of_role.name
                );
            END IF;
        END LOOP;
    END LOOP;
END
$procedure$;
REVOKE ALL ON PROCEDURE prosa.grant_to_roles() FROM PUBLIC;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['prosa_app', 'prosa_read'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                -- Another database's migration was quicker, also between our look and our statement.
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN NULL;  -- grant_to_roles says what to do
            END;
        END IF;
    END LOOP;

    CALL prosa.grant_to_roles();

    -- Supabase's role for servers passes by every policy; so it gets no rights.
    FOR name IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role') LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA prosa FROM %I', name);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA prosa FROM %I', name);
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA prosa FROM %I', name);
    END LOOP;
END
$$;
