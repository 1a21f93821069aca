"""The page in the browser: label photos, see how good a classifier of them is, and use it."""
