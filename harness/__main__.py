"""`python -m harness` is the `harness` command."""

from harness.cli.commands import main

if __name__ == "__main__":
    main()
