"""Alembic's revisions after the baseline, oldest first; never changed once released.

To add one: change ``store.tables``, add ``versions/rNNNN_what.py`` with the revision before it
in ``down_revision``, and set ``store.open.REVISION``. A test upgrades the databases in
``tests/upgrades`` and compares their tables with ``store.tables``, word for word. Revisions go
forward only: going back means a backup.
"""
