"""`python -m featx`, the same as the `featx` command."""

from featx.cli.app import main

if __name__ == "__main__":
    main()
