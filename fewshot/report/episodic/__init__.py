"""Records of the episodic regime as tables, figures and a page; never beside the other regime."""
