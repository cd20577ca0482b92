"""The settings of behavioural cloning."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from r2rise.algorithms.amounts import UpdatesOrEpochs


class BCSettings(UpdatesOrEpochs):
    """Settings of `bc`; the defaults are those of `imitation`'s BC.

    Attributes:
        network: `mlp`, `cnn`, or `auto`: a CNN for images, else an MLP.
        hidden_sizes: Units of each hidden layer (of the CNN: after the convolutions).
        activation: Non-linearity of an MLP's hidden layers; a CNN has ReLU.
        n_updates, n_epochs, batch_size: Those of `UpdatesOrEpochs`.
        learning_rate: Adam's step size.
        learning_rate_decay: `linear`: the step size falls to 0 at the end of training; or `none`.
        average_last: Share of the updates, the last ones, over whose parameters the policy's are
            the mean; 0 takes those after the last update.
        l2_weight: Weight of half the sum of squared parameters in the loss.
        ent_weight: Weight of the entropy bonus.
        validation_share: Share of the kept frames held out for early stopping.
        patience: Epochs without a lower validation loss after which training stops.
        device: `cpu`, `cuda`, or `auto`: `cuda` where there is one.
    """

    network: Literal["auto", "mlp", "cnn"] = "auto"
    hidden_sizes: tuple[PositiveInt, ...] = (32, 32)
    activation: Literal["tanh", "relu"] = "tanh"
    learning_rate: float = Field(default=1e-3, gt=0)
    learning_rate_decay: Literal["none", "linear"] = "none"
    average_last: float = Field(default=0.0, ge=0, le=1)
    l2_weight: float = Field(default=0.0, ge=0)
    ent_weight: float = Field(default=1e-3, ge=0)
    validation_share: float = Field(default=0.0, ge=0, lt=1)
    patience: int = Field(default=5, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _check_final_parameters(self) -> Self:
        if self.average_last > 0 and self.validation_share > 0:
            raise ValueError(
                "give either average_last or validation_share: early stopping takes the parameters "
                "of lowest validation loss"
            )
        return self

    @property
    def depends_on_length(self) -> bool:
        """Whether the updates, or the final parameters, depend on the number of all updates."""
        return (
            self.learning_rate_decay != "none" or self.average_last > 0 or self.validation_share > 0
        )
