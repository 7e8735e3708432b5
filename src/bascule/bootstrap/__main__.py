from bascule.bootstrap import main

main()
