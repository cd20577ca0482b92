"""What a user should know of a study or a map."""

from r2rise.study.parts import StudyPart


class Notice(StudyPart):
    """Something a user should know about a study or a map."""

    code: str
    detail: str
