"""Hours of attacks on the toolkit (`make campaign`); docs/reliability.md has the figures."""
