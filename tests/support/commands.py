"""Commands run in this process, and studies for them."""

from typer.testing import CliRunner

from r2rise_service.cli import app

STUDY = """
environment: toys:OneStep
algorithm: {name: "toys:Additive", settings: {seed_noise: 1.0}}
masking: {segment_length: 10}
evaluation: {n_episodes: 2, max_steps: 5}
budget: {retrainings: 64, baseline_retrainings: 3}
"""


def known(*worths: float) -> str:
    """The same of a learner that makes each segment worth that much, where chance gains nothing."""
    own = f'{{name: "worth:Worth", settings: {{worth: {list(worths)}}}}}'
    return STUDY.replace("toys:OneStep", "worth:Known").replace(
        '{name: "toys:Additive", settings: {seed_noise: 1.0}}', own
    )


def run(command: str, status: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == status, result.output
    return result.stdout, result.stderr
