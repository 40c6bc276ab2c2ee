"""`prosa doctor` as a person types it: beside a run that is well, where nothing runs, and in production."""

import json
from pathlib import Path

from tests.acceptance.running import Prosa, prosa, running
from tests.operations.doctor.looking import CANARY

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": CANARY,
    "TWILIO_AUTH_TOKEN": f"{CANARY}-token",
    "REDIS_URL": f"redis://user:{CANARY}@127.0.0.1:1/0",
    "DATABASE_URL": f"postgresql://user:{CANARY}@127.0.0.1:1/prosa",
    "OPENAI_API_KEY": CANARY,
    "OLLAMA_BASE_URL": CANARY,
    "LEASE_SECONDS": "inf",
}


async def test_beside_a_run_everything_is_well_with_nothing_set(tmp_path: Path) -> None:
    async with running(Prosa(tmp_path, workers=2)) as dev:
        code, output = await prosa("doctor", "--twilio", "--model", "--json", directory=tmp_path)
        findings = json.loads(output)["findings"]
        assert [finding for finding in findings if finding["severity"] != "ok"] == []
        assert code == 0
        assert {finding["check"] for finding in findings} >= {"log", "clock", "workers", "migrations", "Twilio call", "webhook"}
        first = int(dev.options[dev.options.index("--metrics-port") + 1])
        told = [finding["sentence"] for finding in findings if finding["check"] == "metrics port"]
        assert told == [f"Health and metrics answer at 127.0.0.1:{first}-{first + 1}."]
        secrets = {value for name, value in dev.addresses.items() if name.endswith(("URL", "TOKEN", "KEY")) and "@" in value}
        assert not any(secret.partition("@")[0].rpartition(":")[2] in output for secret in secrets)

        code, output = await prosa("doctor", directory=tmp_path)
        assert (code, output.splitlines()[-1]) == (0, "All is well.")


async def test_where_nothing_runs_each_error_has_its_remedy(tmp_path: Path) -> None:
    code, output = await prosa("doctor", "--json", directory=tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    assert code == 2
    findings = json.loads(output)["findings"]
    assert all(finding["remedy"] for finding in findings if finding["severity"] != "ok")
    assert _files_in(tmp_path) == []


async def test_in_production_every_mistake_is_told_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TWILIO_AUTH_TOKENS={CANARY}\n", encoding="utf-8")
    for arguments in (["doctor"], ["doctor", "--json"]):
        code, output = await prosa(*arguments, directory=tmp_path, **PRODUCTION)
        assert code == 2
        assert "Traceback" not in output
        assert CANARY not in output
        for name in ("SECRET_KEY", "PUBLIC_BASE_URL", "LEASE_SECONDS", "OLLAMA_BASE_URL", "TWILIO_AUTH_TOKENS"):
            assert name in output
    assert output.count("127.0.0.1:1 ") == 2


def _files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())
