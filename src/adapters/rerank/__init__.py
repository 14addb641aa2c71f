"""A reranker behind HTTP: `POST /rerank`, as Jina, Cohere, vLLM and Text Embeddings Inference have it."""

from adapters.rerank.reranker import HttpReranker

__all__ = ["HttpReranker"]
