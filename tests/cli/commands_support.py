"""What a job returns, for commands to show."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """What a job returns, as far as a command looks."""

    content: dict[str, Any]
    exit_code: int = 0
    error: Exception | None = None
    warnings: list[str] = field(default_factory=list)
    passed: bool = True

    def check(self):
        if self.error is not None:
            raise self.error

    def to_json(self):
        return self.content
