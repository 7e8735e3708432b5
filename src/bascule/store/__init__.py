"""The record, in SQLite or PostgreSQL: tables, queries, one writer, migrations.

Lives here: SQL and everything that knows of it. Does not: what the rows mean (``domain``),
which rows a use case touches (``services``), where the database is (``config``).
``open.open_store`` is the way in; ``interfaces.store.Store`` is what it answers to, and
tests/contracts/store the examination.

    columns      the column types that both databases share
    tables       every table, its keys, its indexes
    engine       what differs between databases while statements run; spelling and upsert: in SQL
    failures     what a failure is called; postgresql_failures, by SQLSTATE
    prepared     statements that run again, compiled once
    rows         how a statement is run
    inventory    installation, groups, credentials, machines, closed ports
    policies, requests, grants, fleet, record      one subject each: reads, then writes
    transaction  the subjects put together as Reader and Transaction
    writer       the one writing thread: group commit
    readers      the threads that read
    sql_store    the store: writer and readers
    connections  SQLite connections and their pragmas; sqlite is the store on them
    postgresql   connections to PostgreSQL, and whose turn it is to write; pooler: those through PgBouncer
    open         open a SQLite database, postgresql_open one of PostgreSQL;
                 new makes one, upgrade brings an older one up to date,
                 marks says which programs may use it
    migrations   Alembic's revisions
"""
