"""``python -m bascule.bootstrap`` is the console script ``bascule``."""

from bascule.bootstrap import main

main()
