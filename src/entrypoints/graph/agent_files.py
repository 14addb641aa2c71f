"""The part of the object graph that keeps versions of agents, and makes documents of agents and agents of documents."""

from dishka import Provider, Scope, provide_all

from application.agents import agent_export, agent_import, agent_versions, imported_parts


class AgentFiles(Provider):
    """Needs database, clock, catalogue, seals, built-in tools and documents, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(
        agent_export.ExportAgent,
        agent_import.ImportAgent,
        agent_versions.ListAgentVersions,
        agent_versions.RollBackAgent,
        agent_versions.ShowAgentVersion,
        imported_parts.ImportServers,
        imported_parts.ImportTools,
    )
