"""Every setting, its type, its range and its default. Nothing here reads a file or a variable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from entrypoints.settings.secrets import Secret, SecretUrl
from entrypoints.settings.sources import Place

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Bytes = Annotated[int, Meta(ge=1, le=1 << 40)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Grace = Annotated[float, Meta(ge=0, le=86_400)]
Price = Annotated[float, Meta(ge=0, le=1_000_000)]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Names = tuple[Text, ...]


class PriceSettings(Struct, frozen=True, kw_only=True):
    """Of a million tokens."""

    input: Price
    output: Price
    cached_input: Price | None = None
    currency: Annotated[str, Meta(min_length=3, max_length=3)] = "USD"


class ModelSettings(Struct, frozen=True, kw_only=True):
    """[models.NAME]"""

    provider: Literal["offline", "openai", "anthropic", "openai_compatible"]
    model: Text | None = None
    base_url: Text | None = None
    api_key: Secret | None = None
    api_key_env: Text | None = None
    context_window: Tokens = 8192
    max_output_tokens: Tokens | None = None
    thinking_tokens: Tokens | None = None
    max_concurrent: Count | None = None
    requests_a_minute: Count | None = None
    vision: bool = False
    tools: bool = True
    prices: PriceSettings | None = None
    fallbacks: Names = ()
    enabled: bool = True


class StorageSettings(Struct, frozen=True, kw_only=True):
    """[storage]"""

    kind: Literal["local", "minio"] = "local"
    endpoint: Text | None = None
    access_key: Text | None = None
    secret_key: Secret | None = None
    bucket: Text = "agentchat"
    secure: bool = True
    region: Text = "us-east-1"
    create_bucket: bool = False
    public_endpoint: Text | None = None


class DocumentSettings(Struct, frozen=True, kw_only=True):
    """[documents]: limits within which an attached one is read."""

    ocr: Literal["none", "rapidocr"] = "none"
    max_pages: Count = 1000
    max_chars: Annotated[int, Meta(ge=1, le=100_000_000)] = 5_000_000
    timeout_seconds: Seconds = 60
    memory_bytes: Bytes = 1024 * 1024 * 1024
    workers: Annotated[int, Meta(ge=1, le=64)] = 2
    documents_per_child: Count = 50


class EmbeddingSettings(Struct, frozen=True, kw_only=True):
    """[embedding]: what makes vectors of texts."""

    kind: Literal["local", "openai", "openai_compatible", "none"] = "local"
    model: Text | None = None
    base_url: Text | None = None
    api_key: Secret | None = None
    api_key_env: Text | None = None
    dimensions: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    batch_size: Annotated[int, Meta(ge=1, le=2048)] | None = None
    max_concurrent: Annotated[int, Meta(ge=1, le=1000)] = 2
    requests_per_minute: Count | None = None


class RerankSettings(Struct, frozen=True, kw_only=True):
    """[rerank]: without a `base_url` nothing is reranked."""

    base_url: Text | None = None
    model: Text | None = None
    api_key: Secret | None = None
    api_key_env: Text | None = None
    timeout: Seconds = 10


class KnowledgeSettings(Struct, frozen=True, kw_only=True):
    """[knowledge]: how documents are cut. Files that are there keep their chunks until they are read again."""

    chunk_tokens: Annotated[int, Meta(ge=32, le=8000)] = 300
    chunk_overlap: Annotated[int, Meta(ge=0, le=4000)] = 40
    max_chunks: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000


class IngestionSettings(Struct, frozen=True, kw_only=True):
    """[ingestion]"""

    in_server: bool | None = None
    places: Annotated[int, Meta(ge=1, le=256)] = 2


class NetworkSettings(Struct, frozen=True, kw_only=True):
    """[network]: what users may point the server at."""

    allow_private: Names = ()
    allow_ports: tuple[Annotated[int, Meta(ge=1, le=65535)], ...] = (80, 443, 8080, 8443)


class WebSearchSettings(Struct, frozen=True, kw_only=True):
    """[web_search]"""

    kind: Literal["none", "searxng", "tavily", "bocha"] = "none"
    base_url: Text | None = None
    api_key: Secret | None = None
    api_key_env: Text | None = None
    timeout: Seconds = 10


class McpSettings(Struct, frozen=True, kw_only=True):
    """[mcp]"""

    allow_stdio: bool = False


class QuotaSettings(Struct, frozen=True, kw_only=True):
    """[quota], for each user."""

    upload_bytes: Bytes | None = None
    uploads_per_hour: Count | None = None
    tokens_per_day: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] | None = None
    runs_per_day: Count | None = None
    cost_per_day: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None


class VectorSettings(Struct, frozen=True, kw_only=True):
    """[vector]"""

    kind: Literal["embedded", "pgvector"] | None = None
    cache_bytes: Bytes = 512 * 1024 * 1024


class Settings(Struct, frozen=True, kw_only=True):
    """What is in force. `load_settings` fills in what depends on other settings."""

    host: Text = "127.0.0.1"
    port: Port = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    public_url: Text | None = None
    cors_origins: Names = ()
    trusted_proxies: Names = ()
    metrics_networks: Names = ("127.0.0.0/8", "::1/128")
    data_dir: Path = Path("data")
    database_url: SecretUrl = SecretUrl("")
    secret_keys: tuple[Secret, ...] = ()
    default_model: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] | None = None

    password_min_length: Annotated[int, Meta(ge=1, le=128)] = 4
    access_token_minutes: Annotated[float, Meta(gt=0, le=1440)] = 30
    refresh_token_days: Annotated[float, Meta(gt=0, le=3650)] = 30
    url_lifetime_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] = 86_400

    max_upload_bytes: Bytes = 50 * 1024 * 1024
    max_concurrent_uploads: Count = 100
    max_input_chars: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    max_concurrent_runs: Count = 1000
    max_runs_per_user: Count = 20
    max_run_seconds: Seconds = 600
    max_agent_turns: Annotated[int, Meta(ge=1, le=100)] = 8
    pool_size: Annotated[int, Meta(ge=1, le=1000)] = 10

    connect_timeout_seconds: Seconds = 10
    first_token_timeout_seconds: Seconds = 60
    idle_timeout_seconds: Seconds = 60
    tool_timeout_seconds: Seconds = 30
    heartbeat_seconds: Seconds = 10
    disconnect_grace_seconds: Grace = 15
    shutdown_grace_seconds: Grace = 20
    lease_seconds: Annotated[float, Meta(ge=1, le=3600)] = 15
    run_log_retention_hours: Annotated[float, Meta(gt=0, le=8760)] = 24
    usage_retention_days: Annotated[int, Meta(ge=2, le=36_500)] = 1_095
    offline_delay_ms: Annotated[int, Meta(ge=0, le=10_000)] = 20

    models: dict[str, ModelSettings] = field(default_factory=dict)
    storage: StorageSettings = StorageSettings()
    documents: DocumentSettings = DocumentSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    ingestion: IngestionSettings = IngestionSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    rerank: RerankSettings = RerankSettings()
    network: NetworkSettings = NetworkSettings()
    web_search: WebSearchSettings = WebSearchSettings()
    mcp: McpSettings = McpSettings()
    quota: QuotaSettings = QuotaSettings()
    vector: VectorSettings = VectorSettings()

    sources: Mapping[str, Place] = field(default_factory=dict)
    """Where each value that is not a default came from, by its dotted name; `str` of it says the place."""

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite: one process, which migrates itself."""
        return self.database_url.reveal().startswith("sqlite")

    def model_key(self, llm_id: str) -> Secret | None:
        """The key of a model of the configuration, wherever it was found."""
        model = self.models.get(llm_id)
        return model.api_key if model else None

    def source(self, name: str) -> str:
        return str(self.sources.get(name, "default"))
