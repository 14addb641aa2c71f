"""Documents that describe HTTP interfaces (OpenAPI 3.0 and 3.1), read into functions that a model may call."""

from adapters.openapi.documents import OpenApiDocuments

__all__ = ["OpenApiDocuments"]
