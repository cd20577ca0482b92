"""Data, masks and trainings that several tests of behavioural cloning share."""

import numpy as np
from gymnasium import spaces

from r2rise.algorithms.bc import compiled
from r2rise.algorithms.bc.stacked import Trainer
from r2rise.run.retraining import keep_going

SEED = 5
N_FRAMES = 300
OBSERVATIONS = spaces.Box(-np.inf, np.inf, (5,), np.float32)


def example(action_space, observation_space=OBSERVATIONS, n_masks=5):
    """Return network data with masks that keep from 20 frames (less than a batch) to nearly all."""
    generator = np.random.default_rng(0)
    shape = (N_FRAMES, *observation_space.shape)
    if observation_space.dtype == np.uint8:
        observations = generator.integers(0, 256, shape).astype(np.uint8)
    else:
        observations = generator.normal(size=shape).astype(np.float32)
    action_space.seed(0)
    actions = np.array([action_space.sample() for _ in range(N_FRAMES)])
    shares = np.linspace(20 / N_FRAMES, 0.9, n_masks)
    kept = generator.random((n_masks, N_FRAMES)) < shares[:, None]
    return observations, actions, kept


def trained(how, network, data, schedule, initial, settings, *, threads=1):
    """Parameters at each stop of the schedule, (n_stops, n_masks, n_parameters)."""
    if how == "compiled":
        return compiled.train(
            network, data, schedule, initial, settings, threads=threads, progress=keep_going
        )
    return Trainer(network, data, schedule, settings, "cpu").train(initial, keep_going)


def put_parameters(layers, flat):
    import torch

    at = 0
    with torch.no_grad():
        for layer in layers:
            n_out, n_in = layer.weight.shape
            weight = flat[at : at + n_in * n_out].reshape(n_in, n_out)
            layer.weight.copy_(torch.as_tensor(weight.T))
            at += n_in * n_out
            layer.bias.copy_(torch.as_tensor(flat[at : at + n_out]))
            at += n_out
