"""The pages of a study: its rows measured here beside the numbers that its report states."""
