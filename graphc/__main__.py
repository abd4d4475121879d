"""``python -m graphc``: the command line, where its script isn't on the path."""

import sys

from graphc.cli import main

if __name__ == "__main__":
    sys.exit(main())
