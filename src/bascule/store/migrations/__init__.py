"""Alembic's revisions, oldest first; written by hand and never changed once released.

A new one: change ``store.tables``, add ``versions/rNNNN_what.py`` with the revision before
it in ``down_revision``, set ``store.open.REVISION``. The tests compare the tables that the
revisions make with those of ``store.tables``, word for word. Revisions go forward only:
going back means a backup.
"""
