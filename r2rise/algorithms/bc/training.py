"""Training of many networks at once, by the compiled loop or by torch."""

from collections.abc import Sequence

import numpy as np

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.network import Floats, Network
from r2rise.algorithms.bc.policies import Clones
from r2rise.algorithms.bc.schedule import Schedule, TrainingData, hold_out
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.errors import StudyError

LARGEST_SHARD = 64
SHARD_OPERATIONS = int(3e11)
LIKELY_AMOUNT = 16
"""Assumed multiple of the least amount, if the amount of training is not chosen yet."""
COMPILED_PARAMETERS = 500_000
"""On a CPU the compiled loop trains networks up to this size; torch trains larger ones."""


def train_networks(
    network: Network,
    data: TrainingData,
    seed: int,
    settings: BCSettings,
    *,
    amounts: Sequence[int] | None = None,
    initial: Floats | None = None,
    threads: int,
    progress: ProgressCallback,
) -> list[Clones]:
    """Train a network for each mask.

    Args:
        network: Layers and head of the networks.
        data: The frames, and which of them each mask keeps.
        seed: Seed of the initial parameters and of the batch order.
        settings: Loss, step size, length and device.
        amounts: Increasing numbers of updates after which policies are returned. Defaults to the
            end of training.
        initial: (n_masks, n_parameters) initial parameters. By default, new ones that all masks
            share.
        threads: Number of threads over masks. It does not change a single bit of the result.
        progress: Called at least about once a second.

    Returns:
        For each amount a policy for each mask.

    Raises:
        StudyError: If no setting determines how long to train, or the GPU is missing.
        MemoryError: If so many masks do not fit the memory of the device.
    """
    if settings.validation_share > 0:
        held_out = hold_out(data.kept, seed, settings.validation_share)
        data = TrainingData(data.features, data.targets, data.kept & ~held_out, held_out)
    schedule = Schedule.of(data.kept, seed, settings, amounts)
    if initial is None:
        initial = np.tile(network.initial(seed), (len(data.kept), 1))
    if uses_compiled_loop(network, settings):
        from r2rise.algorithms.bc.compiled import train

        snapshots = train(
            network, data, schedule, initial, settings, threads=threads, progress=progress
        )
    else:
        snapshots = _train_with_torch(network, data, schedule, initial, settings, progress)
    return [Clones(network, parameters, settings.device) for parameters in snapshots]


def _train_with_torch(
    network: Network,
    data: TrainingData,
    schedule: Schedule,
    initial: Floats,
    settings: BCSettings,
    progress: ProgressCallback,
) -> Floats:
    import torch

    from r2rise.algorithms.bc.stacked import Trainer

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise StudyError(
            "algorithm.settings.device is 'cuda', but PyTorch finds no GPU here: use 'cpu' or "
            "'auto', or a machine (and a PyTorch) with one.",
            field="algorithm.settings",
        )
    try:
        return Trainer(network, data, schedule, settings, settings.device).train(initial, progress)
    except torch.OutOfMemoryError as error:
        raise MemoryError(
            f"{len(initial)} masks at once do not fit the memory of "
            f"{settings.device!r}: set a smaller execution.shard_size ({error})"
        ) from None


def uses_compiled_loop(network: Network, settings: BCSettings) -> bool:
    """Return whether the compiled loop trains this network.

    It depends on the study alone, not on the machine, so that results are reproducible.
    """
    return (
        len(network.convolutions) <= 1
        and network.n_parameters <= COMPILED_PARAMETERS
        and settings.device == "cpu"
        and settings.validation_share == 0
    )


def training_operations(network: Network, settings: BCSettings, n_frames: int) -> int:
    """Return the floating-point operations of training one network on `n_frames` frames.

    If the amount of training is not chosen yet, 16 times the least amount is assumed.
    """
    if settings.n_updates is None and settings.n_epochs is None:
        updates = LIKELY_AMOUNT * settings.least_updates(n_frames)
    else:
        updates = settings.updates(max(1, n_frames // settings.batch_size))
    # 6: a multiplication and an addition in the forward pass, in the gradient of the weights and in
    # that of the inputs.
    return 6 * updates * settings.batch_size * network.n_products


def masks_within(operations_per_mask: int) -> int:
    """Return the number of masks of a shard: a power of two from 2 to 64."""
    n_masks = max(2, min(LARGEST_SHARD, SHARD_OPERATIONS // operations_per_mask))
    return int(2 ** (n_masks.bit_length() - 1))
