"""``python -m runner``: the command line."""

from runner.cli.main import main

if __name__ == "__main__":  # the workers of a data check import this module again
    main()
