-- What each column means. docs/data-model.md is written from these comments.

COMMENT ON SCHEMA prosa IS 'The read model of Prosa: written by its projector alone, derived from the log, and free to be queried.';

COMMENT ON TABLE prosa.conversations IS 'One sitting on a thread, from the message that opened it until it ended; the next message opens another.';
COMMENT ON COLUMN prosa.conversations.id IS 'The id of the event that opened it.';
COMMENT ON COLUMN prosa.conversations.owner IS 'The tenant whose sender address it is.';
COMMENT ON COLUMN prosa.conversations.thread IS 'Our address and the contact''s, separated by a bar: whatsapp:+14155238886|whatsapp:+5511999990000.';
COMMENT ON COLUMN prosa.conversations.partition IS 'The partition of the log that the thread lives in.';
COMMENT ON COLUMN prosa.conversations.status IS 'pending: nobody has answered yet; active; idle: answered, then silent; handoff: a person answers, the AI is silent; expired and closed: ended.';
COMMENT ON COLUMN prosa.conversations.closed_by IS 'Who closed it: contact, ai, person or failure; empty unless status is closed.';
COMMENT ON COLUMN prosa.conversations.opened_at IS 'When it was opened.';
COMMENT ON COLUMN prosa.conversations.last_activity_at IS 'The last message of the contact, of a person, or first part of a reply; never a delivery status.';
COMMENT ON COLUMN prosa.conversations.next_deadline_at IS 'When silence changes its status next; empty once it has ended.';
COMMENT ON COLUMN prosa.conversations.ended_at IS 'When it was closed or expired; empty while it is open.';
COMMENT ON COLUMN prosa.conversations.taken_by IS 'The person who took it over, by the name they gave; empty once it was given back, and where the AI handed it over.';
COMMENT ON COLUMN prosa.conversations.previous_conversation_id IS 'The conversation before this one on the same thread.';

COMMENT ON TABLE prosa.messages IS 'Every WhatsApp message, either way.';
COMMENT ON COLUMN prosa.messages.id IS 'The same as sid.';
COMMENT ON COLUMN prosa.messages.owner IS 'The tenant.';
COMMENT ON COLUMN prosa.messages.thread IS 'The thread it belongs to.';
COMMENT ON COLUMN prosa.messages.conversation_id IS 'The conversation it belongs to; empty for an outbound one that only a delivery status has told of.';
COMMENT ON COLUMN prosa.messages.direction IS 'inbound: from the contact; outbound: to the contact.';
COMMENT ON COLUMN prosa.messages.sid IS 'Twilio''s name for the message.';
COMMENT ON COLUMN prosa.messages.kind IS 'Twilio''s MessageType: text, image, audio, video, document, location, button, interactive, ...; text for outbound ones.';
COMMENT ON COLUMN prosa.messages.body IS 'The words; a placeholder such as [image], with the caption, for what is no text.';
COMMENT ON COLUMN prosa.messages.status IS 'received for inbound ones; else how far it came: accepted, scheduled, queued, sending, sent, delivered, read, or canceled, failed, undelivered, partially_delivered. It never goes back.';
COMMENT ON COLUMN prosa.messages.error_code IS 'Twilio''s code of a failure, such as 63016; empty where none was told.';
COMMENT ON COLUMN prosa.messages.at IS 'When it was received, or Twilio accepted it.';
COMMENT ON COLUMN prosa.messages.profile_name IS 'The name that the contact gave on WhatsApp, as it was then.';
COMMENT ON COLUMN prosa.messages.choice IS 'What a pressed button or a chosen line of a list stands for.';
COMMENT ON COLUMN prosa.messages.media IS 'Files that came along: a list of {url, content_type}. The addresses need Twilio''s credentials.';
COMMENT ON COLUMN prosa.messages.event_id IS 'The event that told of it: message.received, or message.sent.';
COMMENT ON COLUMN prosa.messages.reply_id IS 'The reply that an outbound one is a part of.';
COMMENT ON COLUMN prosa.messages.part IS 'Which part of the reply, from 0.';
COMMENT ON COLUMN prosa.messages.attempt IS 'The send attempt that it came from.';
COMMENT ON COLUMN prosa.messages.epoch IS 'The generation of the log; with position it orders the messages of a thread.';
COMMENT ON COLUMN prosa.messages.position IS 'Where in its partition the log first told of it.';

COMMENT ON TABLE prosa.replies IS 'What was said to a contact, or would have been: each is one or more messages.';
COMMENT ON COLUMN prosa.replies.id IS 'The reply''s own id.';
COMMENT ON COLUMN prosa.replies.owner IS 'The tenant.';
COMMENT ON COLUMN prosa.replies.thread IS 'The thread it belongs to.';
COMMENT ON COLUMN prosa.replies.conversation_id IS 'The conversation it belongs to.';
COMMENT ON COLUMN prosa.replies.kind IS 'answer: of the AI; person: of a person; failure_sentence: what a contact is told when no model could answer.';
COMMENT ON COLUMN prosa.replies.status IS 'accepted: to be sent; sent; failed; unconfirmed: nobody can tell, a person decides; cancelled: not sent, or not all of it; withdrawn: taken back before it began; superseded: it came too late to count, and was never sent.';
COMMENT ON COLUMN prosa.replies.event_id IS 'The event that it came in: reply.generated, reply.failed or person.replied.';
COMMENT ON COLUMN prosa.replies.at IS 'When it was said; its messages are sent after that.';
COMMENT ON COLUMN prosa.replies.answers IS 'The ids of the inbound events that it answers: messages.event_id. Empty for a failure sentence.';
COMMENT ON COLUMN prosa.replies.parts IS 'A list of {text, status, attempts}, one for each message; status is open, started, sent, rejected, unconfirmed or cancelled.';
COMMENT ON COLUMN prosa.replies.closes IS 'Whether it closes the conversation once it is sent.';
COMMENT ON COLUMN prosa.replies.hands_off IS 'Whether it hands the conversation over to a person once it is sent.';
COMMENT ON COLUMN prosa.replies.model IS 'The model that wrote it; empty where none did.';
COMMENT ON COLUMN prosa.replies.replied_by IS 'The person who wrote it.';

COMMENT ON TABLE prosa.dead_letters IS 'What a consumer group gave up, and what became of it.';
COMMENT ON COLUMN prosa.dead_letters.event_id IS 'The event that was given up: events.id.';
COMMENT ON COLUMN prosa.dead_letters.consumer_group IS 'Who gave it up: responder (a message was not answered) or sender (a reply was not sent).';
COMMENT ON COLUMN prosa.dead_letters.owner IS 'The tenant.';
COMMENT ON COLUMN prosa.dead_letters.thread IS 'The thread it belongs to.';
COMMENT ON COLUMN prosa.dead_letters.conversation_id IS 'The conversation it belongs to.';
COMMENT ON COLUMN prosa.dead_letters.status IS 'open; redriven: a person sent it round again; refused: that came too late, a newer reply had gone out; discarded: a person decided to leave it; forgotten: its thread has many newer ones.';
COMMENT ON COLUMN prosa.dead_letters.error IS 'A name or a code of what went wrong, never a message''s words; conversation.expired: it expired unanswered.';
COMMENT ON COLUMN prosa.dead_letters.fingerprint IS 'The same for failures of one cause.';
COMMENT ON COLUMN prosa.dead_letters.attempts IS 'How often it was tried.';
COMMENT ON COLUMN prosa.dead_letters.at IS 'When it was given up.';

COMMENT ON TABLE prosa.events IS 'The durable archive of the log: every entry as it was read, chained by hash. Nothing is changed or deleted.';
COMMENT ON COLUMN prosa.events.epoch IS 'The generation of the log; positions compare within one epoch only.';
COMMENT ON COLUMN prosa.events.partition IS 'The partition of the log.';
COMMENT ON COLUMN prosa.events.position IS 'Where it stands in its partition.';
COMMENT ON COLUMN prosa.events.id IS 'The event''s id, a ULID; empty, as the next ones, for what could not be decoded.';
COMMENT ON COLUMN prosa.events.type IS 'What happened, such as prosa.message.received.v1.';
COMMENT ON COLUMN prosa.events.subject IS 'The thread it is about; partition/N for what concerns a whole partition.';
COMMENT ON COLUMN prosa.events.owner IS 'The tenant.';
COMMENT ON COLUMN prosa.events.correlation_id IS 'The same for all that follows from one inbound message.';
COMMENT ON COLUMN prosa.events.appended_at IS 'When the log took it, by the log''s own clock.';
COMMENT ON COLUMN prosa.events.log_time IS 'The time that counts for the state: appended_at, never going back in a partition, plus the development clock''s offset.';
COMMENT ON COLUMN prosa.events.event IS 'The whole CloudEvent, byte for byte; what it says is under data.';
COMMENT ON COLUMN prosa.events.digest IS 'SHA-256 of the entry''s bytes.';
COMMENT ON COLUMN prosa.events.chain IS 'SHA-256 of the chain before it in its partition and of digest: no entry can be changed or left out unnoticed.';

COMMENT ON TABLE prosa.checkpoints IS 'How far each partition of the log is projected. Not for dashboards but for this: whether they are up to date.';
COMMENT ON COLUMN prosa.checkpoints.partition IS 'The partition of the log.';
COMMENT ON COLUMN prosa.checkpoints.epoch IS 'The generation of the log.';
COMMENT ON COLUMN prosa.checkpoints.position IS 'The last entry that is projected.';
COMMENT ON COLUMN prosa.checkpoints.appended_at_ms IS 'When that entry was appended, in milliseconds since 1970, never going back.';
COMMENT ON COLUMN prosa.checkpoints.clock_offset_ms IS 'How far the development clock runs ahead, in milliseconds; 0 in production.';
COMMENT ON COLUMN prosa.checkpoints.state IS 'The partition''s clock and policy, as the fold keeps them. Its form may change with any version.';
COMMENT ON COLUMN prosa.checkpoints.chain IS 'The hash chain of its events up to here.';
COMMENT ON COLUMN prosa.checkpoints.updated_at IS 'When this row was written, by the database''s clock.';

COMMENT ON TABLE prosa.threads IS 'What deciding about a thread needs, as the fold left it. Not for queries: see conversations.';
COMMENT ON COLUMN prosa.threads.thread IS 'Our address and the contact''s.';
COMMENT ON COLUMN prosa.threads.partition IS 'The partition of the log that it lives in, for ever.';
COMMENT ON COLUMN prosa.threads.owner IS 'The tenant.';
COMMENT ON COLUMN prosa.threads.state IS 'The thread''s state. Its form may change with any version.';
COMMENT ON COLUMN prosa.threads.next_deadline_at_ms IS 'When silence changes it next, in milliseconds since 1970.';
COMMENT ON COLUMN prosa.threads.awaits_answer_since_ms IS 'Since when the oldest message waits that the AI may answer, likewise; empty if none does.';
COMMENT ON COLUMN prosa.threads.awaits_send_since_ms IS 'Since when the oldest accepted reply waits to be sent, likewise; empty if none does.';

COMMENT ON TABLE prosa.skipped_events IS 'Poison: entries that could not be decoded, or not folded into one thread. A rebuild honours the record.';
COMMENT ON COLUMN prosa.skipped_events.epoch IS 'The generation of the log.';
COMMENT ON COLUMN prosa.skipped_events.partition IS 'The partition of the log.';
COMMENT ON COLUMN prosa.skipped_events.position IS 'Where it stands in its partition.';
COMMENT ON COLUMN prosa.skipped_events.thread IS 'The thread that it could not be folded into; empty where it could not be read at all.';
COMMENT ON COLUMN prosa.skipped_events.error IS 'A name of what went wrong.';
COMMENT ON COLUMN prosa.skipped_events.value IS 'The entry''s bytes.';
COMMENT ON COLUMN prosa.skipped_events.skipped_at IS 'When it was skipped, by the database''s clock.';

COMMENT ON TABLE prosa.alembic_version IS 'Which version the schema has.';
COMMENT ON COLUMN prosa.alembic_version.version_num IS 'The last migration that was run.';
