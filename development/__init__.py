"""
`prosa dev`: everything on one machine, as the processes that production runs, supervised.

`supervision` keeps programs running, `directory` holds what a run writes, `plan` says what runs where, `everything` runs it.
"""
