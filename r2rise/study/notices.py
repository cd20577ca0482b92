"""Notices about a study or a map for its user."""

from r2rise.study.parts import StudyPart


class Notice(StudyPart):
    """Something a user should know about a study or a map."""

    code: str
    detail: str
