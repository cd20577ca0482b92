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
"""Times the least amount, where it is not chosen yet."""
COMPILED_PARAMETERS = 500_000
"""Networks up to this size are trained by the compiled loop on a CPU; larger ones by torch."""


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
        network: Their layers and head.
        data: The frames and which of them each mask keeps.
        seed: Of the initial parameters and of the batch order.
        settings: Loss, step size, length and device.
        amounts: Updates at which policies are asked for, increasing; in the end when left out.
        initial: (n_masks, n_parameters) to go on from; the same new ones for all when left out.
        threads: Threads over masks; they change no bit.
        progress: Called about once a second or more often.

    Returns:
        For each amount a policy for each mask.

    Raises:
        StudyError: When nothing says how long to train, or there is no GPU to train on.
        MemoryError: When so many masks do not fit the device.
    """
    if settings.validation_share > 0:
        held_out = hold_out(data.kept, seed, settings.validation_share)
        data = TrainingData(data.features, data.targets, data.kept & ~held_out, held_out)
    schedule = Schedule.of(data.kept, seed, settings, amounts)
    if initial is None:
        initial = np.tile(network.initial(seed), (len(data.kept), 1))
    if uses_compiled_loop(network, settings):
        from r2rise.algorithms.bc.compiled import train

        found = train(
            network, data, schedule, initial, settings, threads=threads, progress=progress
        )
    else:
        found = _train_with_torch(network, data, schedule, initial, settings, progress)
    return [Clones(network, parameters, settings.device) for parameters in found]


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
    """Say whether the compiled loop trains this network: a fixed rule of the study."""
    return (
        len(network.convolutions) <= 1
        and network.n_parameters <= COMPILED_PARAMETERS
        and settings.device == "cpu"
        and settings.validation_share == 0
    )


def training_operations(network: Network, settings: BCSettings, n_frames: int) -> int:
    """Return how many operations the training of one network on so many frames takes.

    Where how long it takes is not chosen yet, 16 times the least is assumed.
    """
    if settings.n_updates is None and settings.n_epochs is None:
        updates = LIKELY_AMOUNT * settings.least_updates(n_frames)
    else:
        updates = settings.updates(max(1, n_frames // settings.batch_size))
    return 6 * updates * settings.batch_size * network.n_products


def masks_within(per_mask: int) -> int:
    """Return how many masks of so many operations make a shard: a power of two from 2 to 64."""
    affordable = max(2, min(LARGEST_SHARD, SHARD_OPERATIONS // per_mask))
    return int(2 ** (affordable.bit_length() - 1))
