"""What is recorded: one frozen class for each kind of event, by subject.

A fact is in the past tense. Every field is meant to be read by an auditor: no field of a
fact ever holds a secret, and a field that nobody put here is not recorded. Who did it and
when is not here (``domain.event``), nor is the hash chain (``domain.chain``).
"""
