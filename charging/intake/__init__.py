"""From a frame to the database: the journal makes it durable, `meaning` says what it changes.

`journal` commits in groups, `storage` writes rows in bulk, `derived` keeps the latest readings.
"""
