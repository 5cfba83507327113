"""hub.publish: a model or an adapter, and the card that says how it was made."""
