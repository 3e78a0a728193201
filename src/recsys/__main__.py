"""Run the command line as a module: ``python -m recsys``."""

from recsys.cli.app import main

if __name__ == "__main__":
    main()
