"""python -m npnet.cli"""

from npnet.cli import main

main()
