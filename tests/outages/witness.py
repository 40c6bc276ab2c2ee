"""The simulator beside our programs keeps what Twilio took and what the model was asked, and breaks what it is told to."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Witness:
    """Its control plane."""

    url: str

    @property
    def model_settings(self) -> dict[str, str]:
        """Our programs ask it as their model."""
        return {"AI_MODEL": "openai:simulated", "OPENAI_BASE_URL": f"{self.url}/model/v1", "OPENAI_API_KEY": "any"}

    def break_down(self, **plan: Any) -> None:
        """What goes wrong from now on; nothing without a plan."""
        self._ask("faults", json.dumps(plan).encode())

    def accepted(self, after: int = 0) -> Counter[str]:
        """How many messages Twilio took for each contact."""
        return Counter(entry["details"]["address"] for entry in self._entries("message_accepted", after))

    def accepted_at(self, after: int = 0) -> list[float]:
        """When it took each, in seconds since 1970."""
        return [entry["at"] for entry in self._entries("message_accepted", after)]

    def asked(self, after: int = 0) -> int:
        """How often the model was."""
        return len(self._entries("model_asked", after))

    def now(self) -> int:
        """The number of the last thing that happened."""
        last: int = self._ask("ledger?after=1000000000")["last"]
        return last

    def _entries(self, kind: str, after: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask(f"ledger?after={after}&kind={kind}")["entries"]
        return found

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        request = Request(f"{self.url}/simulator/{path}", body, {"Content-Type": "application/json"})  # noqa: S310 - our own
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own
            return json.loads(answer.read())
