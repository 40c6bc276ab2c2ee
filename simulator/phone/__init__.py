"""
The page at `/`: every contact's phone, what goes wrong on purpose, and beside each phone whatever is known about it.

It is rendered here and kept up to date by server-sent events; nothing that a contact or a reply says is ever markup.
"""
