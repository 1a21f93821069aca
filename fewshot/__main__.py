"""`python -m fewshot`: the same as the console script, for launchers that take a module."""

from fewshot.cli.main import main

if __name__ == "__main__":
    main()
