"""From a stored job to work that can be done."""

from r2rise import Demonstrations
from r2rise.algorithms import leaves_amount_open
from r2rise.results.importance_map import ImportanceMap
from r2rise.run.engines.shards import Work
from r2rise.statistics.stopping import StoppingRule
from r2rise.study.study import Study
from r2rise_service.models import JobInfo
from r2rise_service.queue.questions import (
    map_question,
    question_about_maps,
    training_question,
)
from r2rise_service.queue.stored import StoredRunner
from r2rise_service.queue.work import Ending, JobWork
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles


def admitted(job: JobInfo, store: Store, files: DatasetFiles) -> JobWork:
    """Return the work of a live job, with what the store holds of it.

    Raises:
        R2RiseError: When it cannot be done.
        OSError: When its demonstrations cannot be read or unpacked.
    """
    maps = {name: ImportanceMap.from_json(text) for name, text in store.results.maps_of(job.id)}
    studies = [map_.study for map_ in maps.values()] or [job.study]
    path = files.path(job.study.demonstrations or "")
    flag = files.folder / "canceled" / job.id
    runners, works = [], []
    for part, study in enumerate(studies):
        demonstrations = Demonstrations.load(path, obs_keys=study.environment.obs_keys)
        runners.append(_runner(job, part, study, demonstrations, store))
        works.append(Work.of(study, demonstrations, files.folder / "unpacked", flag))
    if maps:
        question = question_about_maps(job.kind, runners, maps, job.repetitions)
        return JobWork(job, question, runners, works, flag)
    if leaves_amount_open(job.study.algorithm):
        question = training_question(runners[0], demonstrations.n_frames)
        return JobWork(job, question, runners, works, flag)
    rule = StoppingRule(job.study, runners[0].segments)
    ending = Ending(job.study, rule, runners[0].ledger)
    question = map_question(runners[0], ending.has_enough)
    return JobWork(job, question, runners, works, flag, ending)


def _runner(
    job: JobInfo, part: int, study: Study, demonstrations: Demonstrations, store: Store
) -> StoredRunner:
    segments = demonstrations.segments(study.masking)
    lengths = demonstrations.lengths.tolist()
    ledger = store.records.ledger(job.id, lengths, len(segments), part=part)
    return StoredRunner(part, study, segments, ledger)
