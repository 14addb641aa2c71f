"""The object graph: settings in, use cases out; each part knows the adapters of its area."""
