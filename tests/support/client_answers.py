"""What a server might answer, one after another: for what a real one cannot be made to do."""

import json

import httpx2
import toys

from r2rise_service import Client

SECRET = "r2k_very-secret"
DATASET = {
    "id": "ds_1", "sha256": toys.demonstrations().content_hash, "n_demonstrations": 2,
    "n_frames": 80, "lengths": [40, 40], "obs_shape": [1], "act_shape": [1],
    "created_at": "2026-01-01T00:00:00Z",
}  # fmt: skip


def job(status: str = "running", **fields):
    return {
        "id": "job_1", "kind": "explain", "status": status, "dataset_id": "ds_1",
        "study": {"environment": {"id": "CartPole-v1"}}, "study_hash": "sha256:0",
        "progress": {"done": 3, "total": 9}, "created_at": "2026-01-01T00:00:00Z",
        "of_a_later_version": 1, **fields,
    }  # fmt: skip


def event(number: int, type_: str = "job.progress", **data) -> dict:
    return {
        "id": number, "job_id": "job_1", "type": type_, "data": data,
        "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def stream(*events: dict) -> httpx2.Response:
    text = "".join(
        f"id: {e['id']}\nevent: {e['type']}\ndata: {json.dumps(e)}\n\n: ping\n\n" for e in events
    )
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def problem(status: int, **headers: str) -> httpx2.Response:
    body = {
        "type": "urn:r2rise:problem:x", "title": "X", "status": status, "detail": "This is so.",
        "code": "x", "errors": [{"pointer": "#/study/seed", "detail": "too low", "code": "ge"}],
    }  # fmt: skip
    return httpx2.Response(status, json=body, headers=headers)


class Answers:
    """Answers requests one after another, and remembers them."""

    def __init__(self, *answers: httpx2.Response | Exception):
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options) -> Client:
        return Client(transport=httpx2.MockTransport(self), api_key=SECRET, **options)
