"""The command line: one module per command, loaded when it is asked for.

Here: what people type, what is printed, exit codes. Everything is asked of the server
through ``client``; nothing here decides who may do what. Not here: ``serve``, ``agent``,
``lab`` and ``admin``, which ``bootstrap`` brings along.
"""
