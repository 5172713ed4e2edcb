"""Which files a pass looks at, when each is ready, and in what order they go."""
