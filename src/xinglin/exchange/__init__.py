"""Exchange: how records leave and enter the house whole. Each package below is one way."""
