"""`manage.py up`: one process that starts, watches, restarts and stops the others, so that none outlives it.

`place` checks folder, lock and port; `children` says what runs; `child` and `supervisor` keep it running.
"""
