"""How long people wait, and what it costs: measured, never asserted.

Lives here: ask-to-open latency as a SYN of the client sees it, beside fwknop and firewalld on
the same machine in the same run (``ask_to_open``), and the weight of what we run
(``footprint``); how many agents a server carries (``fleet``). Run by ``make bench``; results in
``bench/results``.

One worker process (``worker``) stands in each candidate's client namespace and does the asking
(``asking``) and the probing (``probe``), so that all candidates are measured by the same code.
What is not here: tests, and any verdict on a time: machines differ, ratios travel better.
"""
