"""Every public name crossed with odd input: kinds, cells, and how each name is called."""
