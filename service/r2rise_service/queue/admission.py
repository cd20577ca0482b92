"""Turns a stored job into work that can be done."""

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
from r2rise_service.queue.work import EarlyStopping, JobWork
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles


def make_job_work(job: JobInfo, store: Store, files: DatasetFiles) -> JobWork:
    """Return the work of a live job, with the records that are already stored.

    Raises:
        R2RiseError: When the job cannot be done.
        OSError: When its demonstrations cannot be read or unpacked.
    """
    maps = {name: ImportanceMap.from_json(text) for name, text in store.results.maps_of(job.id)}
    studies = [map_.study for map_ in maps.values()] or [job.study]
    path = files.path(job.study.demonstrations or "")
    cancel_flag = files.folder / "canceled" / job.id
    runners, learner_works = [], []
    for part, study in enumerate(studies):
        demonstrations = Demonstrations.load(path, obs_keys=study.environment.obs_keys)
        runners.append(_make_runner(job, part, study, demonstrations, store))
        learner_works.append(Work.of(study, demonstrations, files.folder / "unpacked", cancel_flag))
    if maps:
        question = question_about_maps(job.kind, runners, maps, job.repetitions)
        return JobWork(job, question, runners, learner_works, cancel_flag)
    if leaves_amount_open(job.study.algorithm):
        question = training_question(runners[0], demonstrations.n_frames)
        return JobWork(job, question, runners, learner_works, cancel_flag)
    rule = StoppingRule(job.study, runners[0].segments)
    early_stopping = EarlyStopping(job.study, rule, runners[0].ledger)
    question = map_question(runners[0], early_stopping.has_enough)
    return JobWork(job, question, runners, learner_works, cancel_flag, early_stopping)


def _make_runner(
    job: JobInfo, part: int, study: Study, demonstrations: Demonstrations, store: Store
) -> StoredRunner:
    segments = demonstrations.segments(study.masking)
    lengths = demonstrations.lengths.tolist()
    ledger = store.records.ledger(job.id, lengths, len(segments), part=part)
    return StoredRunner(part, study, segments, ledger)
