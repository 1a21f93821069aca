"""The page that `fewshot inspect` writes about one run."""
