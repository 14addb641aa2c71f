"""The part of the object graph that lets other programs use a person's agents."""

from dishka import Provider, Scope, provide_all

from application.programs import shared_agents
from entrypoints.http.mcp.shared_tools import SharedTools


class SharedAgents(Provider):
    """Needs agents, runs and knowledge, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(
        shared_agents.AskAgent,
        shared_agents.AwaitReply,
        shared_agents.CancelAsked,
        shared_agents.FindAgent,
        shared_agents.SearchAgentKnowledge,
        SharedTools,
    )
