"""The command line `fewshot`, one module per group of commands."""
