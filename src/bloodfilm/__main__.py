"""Run the command line with ``python -m bloodfilm``."""

from bloodfilm.cli import main

main()
