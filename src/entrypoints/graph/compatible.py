"""The part of the object graph that lets clients of OpenAI use a person's agents."""

from dishka import Provider, Scope, provide, provide_all

from application.chat.ask_once import AskOnce
from application.chat.callers_prompt import RestoreRounds
from application.chat.chat import ChatLimits
from application.ports.persistence import Transactions
from application.programs import compatible
from application.programs.formed_answers import CheckForm
from entrypoints.http.openai.endpoint import BodyPlaces
from entrypoints.settings.loading import Settings


class Compatible(Provider):
    """Needs agents and runs, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(compatible.FindNamedAgent, compatible.ListNamedAgents, RestoreRounds, CheckForm)

    @provide
    def places(self) -> BodyPlaces:
        return BodyPlaces()

    @provide
    def ask(
        self,
        find: compatible.FindNamedAgent,
        restore: RestoreRounds,
        ask: AskOnce,
        transactions: Transactions,
        settings: Settings,
    ) -> compatible.AskCompatibly:
        limits = ChatLimits(settings.max_input_chars, settings.disconnect_grace_seconds)
        return compatible.AskCompatibly(find, restore, ask, transactions, limits)
