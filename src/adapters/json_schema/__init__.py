"""Checks the arguments of calls against JSON Schemas that nobody vouches for."""

from adapters.json_schema.check import JsonSchemaCheck

__all__ = ["JsonSchemaCheck"]
