"""Training of many networks at once, by the compiled loop or by torch."""

import numpy as np

from r2rise.algorithms.base import Progress
from r2rise.algorithms.bc.network import Floats, Network
from r2rise.algorithms.bc.policies import Clones
from r2rise.algorithms.bc.schedule import Schedule, TrainingData, hold_out
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.errors import StudyError

LARGEST_SHARD = 64
SHARD_OPERATIONS = int(3e11)
COMPILED_PARAMETERS = 500_000
"""Networks up to this size are trained by the compiled loop on a CPU; larger ones by torch."""


def train_networks(
    network: Network,
    data: TrainingData,
    seed: int,
    settings: BCSettings,
    *,
    initial: Floats | None = None,
    threads: int,
    progress: Progress,
) -> Clones:
    """Train a network for each mask.

    Args:
        network: Their layers and head.
        data: The frames and which of them each mask keeps.
        seed: Of the initial parameters and of the batch order.
        settings: Loss, step size, length and device.
        initial: (n_masks, n_parameters) to go on from; the same new ones for all when left out.
        threads: Threads over masks; they change no bit.
        progress: Called about once a second or more often.

    Returns:
        A policy for each mask.

    Raises:
        StudyError: When there is no GPU to train on.
        MemoryError: When so many masks do not fit the device.
    """
    if settings.validation_share > 0:
        held_out = hold_out(data.kept, seed, settings.validation_share)
        data = TrainingData(data.features, data.targets, data.kept & ~held_out, held_out)
    schedule = Schedule.of(data.kept, seed, settings)
    if initial is None:
        parameters = np.tile(network.initial(seed), (len(data.kept), 1))
    else:
        parameters = initial.copy()
    if uses_compiled_loop(network, settings):
        from r2rise.algorithms.bc.compiled import train

        train(network, data, schedule, parameters, settings, threads=threads, progress=progress)
    else:
        import torch

        from r2rise.algorithms.bc.stacked import Trainer

        if settings.device == "cuda" and not torch.cuda.is_available():
            raise StudyError(
                "algorithm.settings.device is 'cuda', but PyTorch finds no GPU here: use 'cpu' or "
                "'auto', or a machine (and a PyTorch) with one.",
                field="algorithm.settings",
            )
        trainer = Trainer(network, data, schedule, settings, settings.device)
        try:
            parameters = trainer.train(parameters, progress)
        except torch.OutOfMemoryError as error:
            raise MemoryError(
                f"{len(parameters)} masks at once do not fit the memory of "
                f"{settings.device!r}: set a smaller execution.shard_size ({error})"
            ) from None
    return Clones(network, parameters, settings.device)


def uses_compiled_loop(network: Network, settings: BCSettings) -> bool:
    """Say whether the compiled loop trains this network: a fixed rule of the study."""
    return (
        len(network.convolutions) <= 1
        and network.n_parameters <= COMPILED_PARAMETERS
        and settings.device == "cpu"
        and settings.validation_share == 0
    )


def training_operations(network: Network, settings: BCSettings, n_frames: int) -> int:
    """Return how many operations the training of one network on so many frames takes."""
    epochs = settings.n_epochs or 1
    updates = settings.n_updates or epochs * max(1, n_frames // settings.batch_size)
    return 6 * updates * settings.batch_size * network.n_products


def masks_within(per_mask: int) -> int:
    """Return how many masks of so many operations make a shard: a power of two from 2 to 64."""
    affordable = max(2, min(LARGEST_SHARD, SHARD_OPERATIONS // per_mask))
    return int(2 ** (affordable.bit_length() - 1))
