"""Alembic's revisions after the baseline, oldest first; never changed once released.

To add one: change ``store.tables``, add ``versions/rNNNN_what.py`` with the revision before it
in ``down_revision``, and set ``REVISION``. A test upgrades the databases in ``tests/upgrades`` and
compares their tables with ``store.tables``, word for word. Revisions go forward only: going back
means a backup.

Each revision says in ``RUNS_BESIDE`` the oldest revision whose programs may go on beside the tables
that it makes (EDGES H6), its own if it is not sure. CONTRIBUTING.md says what an older program bears,
``tests/unit/test_revisions.py`` reads each revision and refuses a claim that it does not see to be true.
"""

BASELINE = "0100"  # the first revision that can be upgraded; lower ones were never released
REVISION = "0101"  # the newest in versions; a test holds the two together
