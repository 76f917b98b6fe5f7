"""Owns how the lists that have a queue are found; sending, /metrics and the admin's index ask in the same way."""

# By jumping through the index of what is queued: one probe for each list, none for those that have nothing, and what is due
# later is never read. The last row is NULL. A comma may follow, and more of the statement.
QUEUED = """
WITH RECURSIVE queued (list_id) AS (
    (SELECT sending_list_id FROM sendinglists_message
     WHERE due_at IS NOT NULL AND sending_list_id IS NOT NULL ORDER BY sending_list_id LIMIT 1)
    UNION ALL
    SELECT (SELECT message.sending_list_id FROM sendinglists_message message
            WHERE message.due_at IS NOT NULL AND message.sending_list_id > queued.list_id
            ORDER BY message.sending_list_id LIMIT 1)
    FROM queued WHERE queued.list_id IS NOT NULL
)"""
