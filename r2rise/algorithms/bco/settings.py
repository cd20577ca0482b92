"""The settings of behavioural cloning from observation."""

from pydantic import Field, PositiveInt

from r2rise.algorithms.bc.settings import BCSettings


class BCOSettings(BCSettings):
    """Settings of `bco`: those of `bc` for the cloning, and more.

    Attributes:
        interactions: Steps of random actions from which the inverse model is learned first.
        alpha_iterations: How often the policy then interacts, the inverse model is refined, labels
            are made again and cloning goes on; 0 is BCO(0).
        alpha_interactions: Steps of the policy in each of them.
        inverse_hidden_sizes: Units of the inverse model's hidden layers (of a CNN: after the
            convolutions).
        inverse_epochs: Its passes over all interactions so far.
        inverse_batch_size: Interactions per update.
        inverse_learning_rate: Adam's step size.
    """

    interactions: int = Field(default=2000, ge=1)
    alpha_iterations: int = Field(default=0, ge=0)
    alpha_interactions: int = Field(default=1000, ge=1)
    inverse_hidden_sizes: tuple[PositiveInt, ...] = (64, 64)
    inverse_epochs: int = Field(default=10, ge=1)
    inverse_batch_size: int = Field(default=32, ge=1)
    inverse_learning_rate: float = Field(default=1e-3, gt=0)

    @property
    def inverse(self) -> BCSettings:
        """The inverse model's training as behavioural cloning of pairs of observations."""
        return BCSettings(
            network=self.network,
            hidden_sizes=self.inverse_hidden_sizes,
            activation=self.activation,
            n_epochs=self.inverse_epochs,
            batch_size=self.inverse_batch_size,
            learning_rate=self.inverse_learning_rate,
            ent_weight=0.0,
            device=self.device,
        )
