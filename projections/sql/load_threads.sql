SELECT thread, state FROM threads WHERE thread = ANY ($1::text[])
