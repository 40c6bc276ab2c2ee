"""
A stand-in for what is used of Twilio: the Messages API, its webhooks and a phone for every contact.

It runs as a process of its own (`python -m simulator`) and imports nothing of the system that it tests, so that its ledger is an
independent witness of what each phone really received.
"""
