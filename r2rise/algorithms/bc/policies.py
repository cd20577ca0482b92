"""Trained policies, single or many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.algorithms.bc.network import Network
from r2rise.errors import Diverged

NOT_FINITE = "the outputs of the network are not finite numbers."


@dataclass(frozen=True, eq=False)
class Clones(Sequence["Clone"]):
    """Policies of one network that act together.

    Attributes:
        network: Layers and head of the policies.
        parameters: (n_policies, n_parameters) float32.
        device: Device that computes the actions.
    """

    network: Network
    parameters: NDArray[np.float32]
    device: str = "cpu"

    def __len__(self) -> int:
        return len(self.parameters)

    @overload
    def __getitem__(self, index: int) -> "Clone": ...
    @overload
    def __getitem__(self, index: slice | NDArray[np.bool_]) -> "Clones": ...
    def __getitem__(self, index: int | slice | NDArray[np.bool_]) -> "Clone | Clones":
        if isinstance(index, slice | np.ndarray):
            return Clones(self.network, self.parameters[index], self.device)
        return Clone(Clones(self.network, self.parameters[[index]], self.device))

    def predict_many(
        self, observations: NDArray[Any], *, deterministic: bool = True
    ) -> NDArray[Any]:
        """Return actions, (n_policies, n, *act_shape).

        Args:
            observations: (n_policies, n, *obs_shape).
            deterministic: Whether to return the most likely actions. Otherwise torch's global
                generator samples them.
        """
        n_policies, n = observations.shape[:2]
        flat = observations.reshape(n_policies * n, *observations.shape[2:])
        features = self.network.features(flat)
        features = features.reshape(n_policies, n, *features.shape[1:])
        return self.act(features, deterministic=deterministic)

    def act(self, features: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Return actions, (n_policies, n, *act_shape).

        Args:
            features: (n_policies, n, ...) inputs of the first layer for each observation.
            deterministic: As for `predict_many`.

        Raises:
            Diverged: If an output of a network is not finite.
        """
        import torch

        from r2rise.algorithms.bc.stacked import forward

        inputs, parameters = torch.as_tensor(features), torch.as_tensor(self.parameters)
        with torch.no_grad():
            outputs = forward(
                self.network, parameters.to(self.device), inputs.to(self.device)
            ).cpu()
        return self._act(_finite(outputs), parameters, deterministic)

    def _act(self, outputs: Any, parameters: Any, deterministic: bool) -> NDArray[Any]:
        import torch

        head, space = self.network.head, self.network.action_space
        if head.kind == "gaussian":
            if not deterministic:
                deviation = parameters[:, None, -head.n_outputs :].exp()
                outputs = _finite(outputs + deviation * torch.randn_like(outputs))
            actions = self.network.actions(outputs.numpy())
            if isinstance(space, spaces.Box):
                actions = np.clip(actions, space.low, space.high)
            return actions
        choices = []
        for logits in outputs.split(list(head.sizes), dim=2):
            if deterministic:
                choices.append(logits.argmax(dim=2))
            else:
                choices.append(torch.distributions.Categorical(logits=logits).sample())
        return self.network.actions(torch.stack(choices, dim=2).numpy())


def _finite(outputs: Any) -> Any:
    """Return the outputs if all are finite.

    An argmax or a clipped action would hide values that are not.

    Raises:
        Diverged: If an output is not finite.
    """
    if not outputs.isfinite().all():
        raise Diverged(NOT_FINITE)
    return outputs


class Clone:
    """A single policy. It acts on batches of observations."""

    def __init__(self, clones: Clones) -> None:
        self.clones = clones

    def predict(
        self, observation: NDArray[Any], *, deterministic: bool = True
    ) -> tuple[NDArray[Any], None]:
        """Return actions (n, *act_shape) for observations (n, *obs_shape), and None as state."""
        return self.clones.predict_many(observation[None], deterministic=deterministic)[0], None
