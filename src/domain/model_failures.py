"""What the adapters of all models' providers say alike when one fails."""

from domain.errors import ModelError


def unreachable(*, timed_out: bool) -> ModelError:
    if timed_out:
        return ModelError("model_timeout", "The model's provider accepted no connection in time.", retryable=True)
    return ModelError("model_unavailable", "The model's provider can't be reached.", retryable=True)


def pause_asked(milliseconds: str | None, seconds: str | None) -> float | None:
    """The seconds that a provider asks to wait; the milliseconds are more exact. A date is not worth a clock."""
    for given, unit in ((milliseconds, 0.001), (seconds, 1.0)):
        try:
            pause = float(given or "") * unit
        except ValueError:
            continue
        if 0 <= pause < float("inf"):
            return pause
    return None
