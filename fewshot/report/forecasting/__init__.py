"""How many labels a target accuracy needs: `fewshot forecast`."""
