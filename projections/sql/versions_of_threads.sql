SELECT thread, xmin::text AS version FROM threads WHERE thread = ANY ($1::text[])
