"""Services, routes and providers as operators list and search them, a page at a time."""
