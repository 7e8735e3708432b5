"""The record on disk: tables, queries, one writer, migrations.

Lives here: SQL and everything that knows of it. Does not: what the rows mean (``domain``),
which rows a use case touches (``services``), where the file is (``config``).
``open.open_store`` is the way in; ``interfaces.store.Store`` is what it answers to, and
tests/contracts/store the examination.

    columns      the column types that both databases share
    tables       every table, its keys, its indexes
    rows         how a statement is run, and what its failure is called
    inventory    installation, groups, credentials, machines, closed ports
    policies, requests, grants, fleet, record      one subject each: reads, then writes
    transaction  the subjects put together as Reader and Transaction
    connections  SQLite connections and their pragmas
    writer       the one writing thread: group commit
    sqlite       the store: writer and readers
    open         open the database; new makes one, upgrade brings an older one up to date
    migrations   Alembic's revisions
"""
