"""What own algorithms and environments are known by, and that no other one's map comes back."""

import functools
import re
import subprocess
import sys
import textwrap
import threading
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
import toys
import worth
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import r2rise
from r2rise.errors import LedgerError, StudyError
from r2rise.study.identity import Unidentified, identity_of
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec
from r2rise_service.cli import app

DEMONSTRATIONS = toys.demonstrations()
HEAD = """
import functools, math
import numpy as np
"""


def thing(source: str, name: str = "thing"):
    """Return what a module of this source names so, as if a user had written it."""
    module = ModuleType("users_own")
    exec(HEAD + textwrap.dedent(source), vars(module))
    return vars(module)[name]


def identity(source: str) -> str:
    found = identity_of(thing(source))
    assert found is not None
    return found


FUNCTION = """
def thing(a, b=1, *, c=2):
    return a + b * c
"""
CLASS = """
class Base:
    gain = 1
    def scaled(self, x):
        return x * self.gain
class thing(Base):
    def __init__(self, force=2):
        self.force = force
    def train(self, t):
        return super().scaled(t) + self.force
"""
MADE = """
def make(x):
    def inner(t):
        return t + x
    return inner
thing = make({})
"""
HELPED = """
GAIN = {gain}
def helper(t):
    return t {operator} GAIN
def thing(t):
    return [helper(u) for u in t]
"""
TRIED = """
def thing(t):
    try:
        t()
    except ValueError:
        print()
"""
DIFFERENT = {
    "body": (FUNCTION, FUNCTION.replace("a + b", "a - b")),
    "constant in a nested function": (
        "thing = lambda t: [u + 1 for u in t]", "thing = lambda t: [u + 2 for u in t]",
    ),
    "function called": (
        "thing = lambda t: math.sin(t)", "thing = lambda t: math.cos(t)",
    ),
    "default": (FUNCTION, FUNCTION.replace("b=1", "b=3")),
    "keyword default": (FUNCTION, FUNCTION.replace("c=2", "c=3")),
    "kinds of arguments": ("def thing(a, b): return a", "def thing(a, /, b): return a"),
    "what is caught": (TRIED, TRIED.replace("ValueError", "TypeError")),
    "where it is caught": (
        "def thing(t):\n try:\n  t(); t()\n except ValueError: print()",
        "def thing(t):\n try:\n  t()\n except ValueError: print()\n else:\n  t()",
    ),
    "lambdas of one line": (
        "one, thing = lambda t: 0, lambda t: 1", "thing, one = lambda t: 0, lambda t: 1",
    ),
    "closure": (MADE.format(1), MADE.format(2)),
    "kind of number in a closure": (MADE.format(1), MADE.format(1.0)),
    "array in a closure": (
        MADE.format("np.array([1.0, 2.0])"), MADE.format("np.array([1.0, 3.0])"),
    ),
    "shape of an array": (MADE.format("np.ones((2, 3))"), MADE.format("np.ones((3, 2))")),
    "dtype of an array": (
        MADE.format("np.zeros(2, 'f4')"), MADE.format("np.zeros(2, 'i4')"),
    ),
    "function in a closure": (
        MADE.format("lambda: 1"), MADE.format("lambda: 2"),
    ),
    "instance in a closure": (
        CLASS.replace("thing", "Own") + MADE.format("Own(2)"),
        CLASS.replace("thing", "Own") + MADE.format("Own(3)"),
    ),
    "generator of random numbers": (
        MADE.format("np.random.default_rng(1)"), MADE.format("np.random.default_rng(2)"),
    ),
    "argument of a partial": (
        FUNCTION.replace("thing", "own") + "thing = functools.partial(own, 1)",
        FUNCTION.replace("thing", "own") + "thing = functools.partial(own, 2)",
    ),
    "keyword of a partial": (
        FUNCTION.replace("thing", "own") + "thing = functools.partial(own, c=1)",
        FUNCTION.replace("thing", "own") + "thing = functools.partial(own, b=1)",
    ),
    "function of a partial": (
        FUNCTION.replace("thing", "own") + "thing = functools.partial(own, 1)",
        FUNCTION.replace("thing", "own").replace("a +", "a -")
        + "thing = functools.partial(own, 1)",
    ),
    "installed function of a partial": (
        "thing = functools.partial(math.sin, 1)", "thing = functools.partial(math.cos, 1)",
    ),
    "method": (CLASS, CLASS.replace("+ self.force", "- self.force")),
    "method of a base": (CLASS, CLASS.replace("x * self", "x / self")),
    "class attribute": (CLASS, CLASS.replace("gain = 1", "gain = 2")),
    "class attribute set later": (CLASS, CLASS + "thing.gain = 2"),
    "property": (
        "class thing:\n @property\n def a(self): return 1",
        "class thing:\n @property\n def a(self): return 2",
    ),
    "static method": (
        "class thing:\n @staticmethod\n def a(): return 1",
        "class thing:\n @staticmethod\n def a(): return 2",
    ),
    "instance attribute": (
        CLASS.replace("thing", "Own") + "thing = Own(2)",
        CLASS.replace("thing", "Own") + "thing = Own(3)",
    ),
    "class of an instance": (
        CLASS.replace("thing", "Own") + "thing = Own(2)",
        CLASS.replace("thing", "Own").replace("gain = 1", "gain = 2") + "thing = Own(2)",
    ),
    "bound instance": (
        CLASS.replace("thing", "Own") + "thing = Own(2).train",
        CLASS.replace("thing", "Own") + "thing = Own(3).train",
    ),
    "slots": (
        "class Own:\n __slots__ = ('a',)\nthing = Own(); thing.a = 1",
        "class Own:\n __slots__ = ('a',)\nthing = Own(); thing.a = 2",
    ),
    "attribute of a function": (FUNCTION, FUNCTION + "thing.uses_next_obs = True"),
    "helper of the same file": (
        HELPED.format(gain=1, operator="+"), HELPED.format(gain=1, operator="-"),
    ),
    "global variable": (
        HELPED.format(gain=1, operator="+"), HELPED.format(gain=2, operator="+"),
    ),
    "wrapped function": (
        "@functools.lru_cache\ndef thing(a): return a",
        "@functools.lru_cache\ndef thing(a): return -a",
    ),
    "version": (FUNCTION + "thing.version = 1", FUNCTION + "thing.version = 2"),
    "default of settings": (
        "from pydantic import BaseModel\nclass thing(BaseModel):\n a: int = 1",
        "from pydantic import BaseModel\nclass thing(BaseModel):\n a: int = 2",
    ),
}  # fmt: skip
SAME = {
    "comments and blank lines": (
        FUNCTION,
        "# what\n\n\ndef thing(a, b=1, *, c=2):  # it\n\n    # does\n    return a + b * c",
    ),
    "docstring": (FUNCTION.replace("    return", "    'A.'\n    return"), FUNCTION),
    "other lines above": (FUNCTION, "x = 1\ny = x\n" + FUNCTION),
    "what is not used": (HELPED.format(gain=1, operator="+"),
                         "OTHER = 3\n" + HELPED.format(gain=1, operator="+")),
    "order of keywords": (
        "thing = functools.partial(max, a=1, b=2)", "thing = functools.partial(max, b=2, a=1)",
    ),
    "order of a set": (MADE.format("{'a', 'b', 'c'}"), MADE.format("{'c', 'b', 'a'}")),
    "version instead of code": (
        FUNCTION + "thing.version = '1.2'",
        FUNCTION.replace("a +", "a -") + "thing.version = '1.2'",
    ),
    "version of a class": (
        CLASS + "thing.version = 1",
        CLASS.replace("self.force\n", "self.force + 1\n") + "thing.version = 1",
    ),
    "docstring of a class": (CLASS, CLASS.replace("class thing(Base):", "class thing(Base):\n"
                                                                       "    'Doc.'")),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_change_is_seen(what):
    one, other = DIFFERENT[what]
    assert identity(one) != identity(other)
    assert identity(one) == identity(one)
    assert identity(other) == identity(other)


@pytest.mark.parametrize("what", SAME)
def test_what_changes_nothing_is_not_seen(what):
    one, other = SAME[what]
    assert identity(one) == identity(other)


NUMBERS = st.floats() | st.integers() | st.booleans() | st.none() | st.text() | st.binary()
VALUES = st.recursive(
    NUMBERS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
        | st.frozensets(NUMBERS)
    ),
    max_leaves=8,
)  # fmt: skip


def partials(value):
    return functools.partial(toys.raises, value)


@given(VALUES, VALUES)
def test_values_are_told_apart_as_by_their_text(one, other):
    same = identity_of(partials(one)) == identity_of(partials(other))
    assert same == (text_of(one) == text_of(other))


def text_of(value) -> str:
    """A text that two values share only when they are of one kind and equal."""
    if isinstance(value, dict):
        return f"dict{sorted((repr(k), text_of(v)) for k, v in value.items())}"
    if isinstance(value, frozenset):
        return f"frozenset{sorted(map(text_of, value))}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[text_of(v) for v in value]}"
    return repr(value)


def test_installed_ones_are_known_by_name():
    from gymnasium.envs.classic_control import CartPoleEnv

    from r2rise.algorithms.imitation_bc import ImitationBC

    assert [identity_of(own) for own in (CartPoleEnv, ImitationBC, np.mean, max)] == [None] * 4
    assert AlgorithmSpec.model_validate("bc").identity is None
    assert r2rise.Study(environment="CartPole-v1").model_dump()["algorithm"]["identity"] is None


def test_it_is_the_same_in_other_processes(tmp_path):
    source = HEAD + "\n".join(
        text.replace("thing", f"thing_{number}").replace("make", f"make_{number}")
        for number, (text, _) in enumerate(DIFFERENT.values())
    )
    names = [f"thing_{number}" for number in range(len(DIFFERENT))]
    (tmp_path / "users_own.py").write_text(source)
    program = (
        "import users_own; from r2rise.study.identity import identity_of\n"
        f"for name in {names}: print(identity_of(getattr(users_own, name)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1
    assert len(found.pop().split()) == len(names)


def test_what_refers_to_itself():
    again = "def thing(n):\n    return thing(n - {}) if n else 0"
    assert identity(again.format(1)) == identity(again.format(1)) != identity(again.format(2))
    looped = "x = [1]; x.append(x)\ndef thing():\n    return x"
    assert identity(looped) == identity(looped)


def test_an_instance_may_compute_its_version():
    source = (
        "import threading\nclass Own:\n"
        "    def __init__(self, gain):\n        self.gain, self.lock = gain, threading.Lock()\n"
        "    @property\n    def version(self):\n        return f'1 {self.gain}'\n"
    )
    assert identity(source + "thing = Own(1)") == identity(source + "thing = Own(1)")
    assert identity(source + "thing = Own(1)") != identity(source + "thing = Own(2)")


def test_the_version_of_a_class_does_not_speak_for_what_instances_hold():
    source = CLASS.replace("thing", "Own") + "Own.version = 1\n"
    assert identity(source + "thing = Own(2)") != identity(source + "thing = Own(3)")


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("memoryview(b'')", "variable x of make.<locals>.inner is a memoryview"),
        ("{'a': [(i for i in range(3))]}", "key 'a' in variable x of make.<locals>.inner is a gen"),
        ("functools.partial(max, memoryview(b''))", "an argument of the partial in variable x"),
    ],
)
def test_what_cannot_be_identified_is_named(held, message):
    with pytest.raises(Unidentified, match="^" + re.escape(message)):
        identity(MADE.format(held))


def acts(transitions, environment, seed, *, progress, act):
    CALLS.append(1)
    return toys.Constant(float(act))


class Calls:
    """Counts calls; it is always known as the same."""

    version = 1

    def __init__(self):
        self.n = 0

    def __reduce__(self):
        return "CALLS"

    def append(self, _):
        self.n += 1


CALLS = Calls()


def study(algorithm, environment="toys:OneStep") -> r2rise.Study:
    return r2rise.Study(
        environment=environment,
        algorithm=algorithm,
        evaluation={"n_episodes": 1, "max_steps": 1},
        budget={"retrainings": 16, "baseline_retrainings": 2},
    )


def mean_of(algorithm, environment="toys:OneStep", **where) -> float:
    """The mean return of all frames."""
    importance = r2rise.explain(DEMONSTRATIONS, study(algorithm, environment), **where)
    return importance.baseline.all_frames.mean


def acting(act):
    return lambda *given, progress: acts(*given, progress=progress, act=act)


class Acting:
    def __init__(self, act):
        self.act = act

    def train(self, *given, progress):
        return acts(*given, progress=progress, act=self.act)


@pytest.mark.parametrize(
    "algorithm", [lambda act: functools.partial(acts, act=act), acting, Acting]
)
def test_a_changed_algorithm_never_gets_the_old_map(tmp_path, algorithm):
    before = CALLS.n
    assert mean_of(algorithm(1), out=tmp_path / "out") == 1
    assert CALLS.n > before
    before = CALLS.n
    with pytest.raises(LedgerError, match="algorithm: its code or its data is not that of the led"):
        mean_of(algorithm(-1), out=tmp_path / "out")
    with pytest.raises(LedgerError, match="another place"):
        mean_of(algorithm(-1), ledger=tmp_path / "out" / "ledger.npz")
    assert mean_of(algorithm(1), out=tmp_path / "out") == 1  # and nothing was retrained
    assert CALLS.n == before
    assert mean_of(algorithm(-1), out=tmp_path / "other") == -1


def pole(force):
    return lambda: toys.OneStep(offset=force)


@pytest.mark.parametrize("factory", [pole, lambda force: functools.partial(toys.OneStep, force)])
def test_a_changed_environment_never_gets_the_old_map(tmp_path, factory):
    assert mean_of(f"{__name__}:one", factory(0.5), out=tmp_path) == 1.5
    with pytest.raises(LedgerError, match="environment: its code or its data is not that of the"):
        mean_of(f"{__name__}:one", factory(0.25), out=tmp_path)
    assert mean_of(f"{__name__}:one", factory(0.5), out=tmp_path) == 1.5


def one(transitions, environment, seed, *, progress):
    return toys.Constant(1.0)


def test_an_object_that_cannot_be_identified_is_refused_on_disk_alone(tmp_path):
    lock = threading.Lock()

    def locked(transitions, environment, seed, *, progress):
        with lock:
            return toys.Constant(1.0)

    assert mean_of(locked) == 1
    with pytest.raises(StudyError, match=r"(?s)variable lock of .*locked is a .*lock.*`version`"):
        mean_of(locked, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(StudyError, match="`version`"):
        r2rise.plan(DEMONSTRATIONS, study(locked), out=tmp_path / "out")
    with pytest.raises(StudyError, match=rf"environment '{__name__}:.*`version`"):
        mean_of(f"{__name__}:one", lambda: toys.OneStep(lock.locked()), out=tmp_path / "out")
    locked.version = 1
    assert mean_of(locked, out=tmp_path / "out") == 1
    locked.version = 2
    with pytest.raises(LedgerError):
        mean_of(locked, out=tmp_path / "out")


def test_a_partial_is_known_by_its_function_and_arguments():
    given = functools.partial(acts, 1, "x", act=0.5, weights=np.ones(3))
    assert AlgorithmSpec.model_validate(given).name == (
        f"{__name__}:acts(1, 'x', act=0.5, weights=<ndarray>)"
    )
    factory = functools.partial(toys.OneStep, offset=2)
    assert EnvironmentSpec.model_validate(factory).id == "toys:OneStep(offset=2)"


def test_a_file_that_changes_between_commands(tmp_path, monkeypatch):
    """Commands that follow each other find it changed, then changed back and commented."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    source = "import toys\ndef train(t, e, s, *, progress):\n    return toys.Constant({})\n"
    (tmp_path / "short.yaml").write_text(
        "environment: toys:OneStep\nalgorithm: my_robot:train\nbudget: 16\n"
        "evaluation: {n_episodes: 1, max_steps: 1}"
    )

    def explain(study: str, text: str):
        (tmp_path / "my_robot.py").write_text(text)
        sys.modules.pop("my_robot", None)
        words = ["explain", "demos.npz", "--study", study, "--out", "out"]
        return CliRunner().invoke(app, words)

    first = explain("short.yaml", source.format("1.0"))
    assert first.exit_code == 0, first.output
    changed = explain("short.yaml", source.format("-1.0"))
    assert changed.exit_code == 1
    assert "algorithm: its code or its data is not that of the" in changed.output
    saved = explain("out/study.yaml", source.format("-1.0"))
    assert saved.exit_code == 2
    assert "'my_robot:train' is not the one that this study was made" in saved.output
    again = explain("out/study.yaml", "# Our robot.\n\n" + source.format("1.0"))
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("ask", [r2rise.certify, r2rise.curate])
def test_a_question_about_a_map_of_another_algorithm(tmp_path, ask):
    r2rise.explain(DEMONSTRATIONS, study(f"{__name__}:one"), out=tmp_path)
    saved = (tmp_path / "map.json").read_text()
    of_today = identity_of(one)
    assert of_today in saved
    (tmp_path / "map.json").write_text(saved.replace(of_today, "sha256:of_yesterday"))
    with pytest.raises(StudyError, match=rf"'{__name__}:one' is not the one that this study was"):
        ask(DEMONSTRATIONS, r2rise.ImportanceMap.load(tmp_path))


def test_another_algorithm_over_a_saved_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    r2rise.explain(DEMONSTRATIONS, study(one), out=tmp_path / "out")
    words = "explain demos.npz --study out/study.yaml --algorithm toys:raises_on_few_frames"
    result = CliRunner().invoke(app, [*words.split(), "--out", "new"])
    assert "is not the one" not in result.output


@pytest.mark.slow
def test_a_study_of_the_program_itself(tmp_path):
    """As in a notebook: functions and classes of `__main__`, the same in the next process."""
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    program = textwrap.dedent("""
        import sys, r2rise, toys
        GAIN = float(sys.argv[1])
        def helper():
            return GAIN
        class Robot:
            def train(self, t, e, s, *, progress):
                self.policy = toys.Constant(helper())
                return self.policy
        study = r2rise.Study(
            environment="toys:OneStep", algorithm=Robot(), budget=16,
            evaluation={"n_episodes": 1, "max_steps": 1},
        )
        for _ in range(2):
            print(r2rise.explain("demos.npz", study, out="out").baseline.all_frames.mean)
    """)

    def told(gain: str):
        return subprocess.run(
            [sys.executable, "-c", program, gain], cwd=tmp_path, capture_output=True, text=True,
            env={"PYTHONPATH": ":".join(sys.path)}, check=False,
        )  # fmt: skip

    assert told("1").stdout.split() == ["1.0", "1.0"]
    assert "LedgerError" in told("2").stderr
    assert told("1").stdout.split() == ["1.0", "1.0"]


def test_an_environment_that_gymnasium_knows(tmp_path):
    import gymnasium as gym

    def register(offset):
        gym.register("Own-v0", functools.partial(worth.Known, offset=offset))

    try:
        register(1.0)
        assert mean_of(f"{__name__}:one", "Own-v0", out=tmp_path) == 2
        del gym.registry["Own-v0"]
        register(2.0)
        with pytest.raises(LedgerError, match="environment: its code"):
            mean_of(f"{__name__}:one", "Own-v0", out=tmp_path)
    finally:
        gym.registry.pop("Own-v0", None)


class WithSpaces:
    """Its spaces belong to the class, as in many environments, and are seeded when it is used."""

    observation_space = gym.spaces.Dict({"at": gym.spaces.Box(-1, 1, (2,))})
    action_space = gym.spaces.Discrete(3)


def test_a_space_is_the_same_after_samples_were_drawn():
    fresh = identity_of(WithSpaces)
    for space in (WithSpaces.observation_space, WithSpaces.action_space):
        space.seed(1)
        space.sample()
    assert identity_of(WithSpaces) == fresh
    WithSpaces.action_space = gym.spaces.Discrete(4)
    assert identity_of(WithSpaces) != fresh
