from __future__ import annotations

from pathlib import Path

import pytest

from tui_feeder.config import ConfigError, Secret, load, render

HIDDEN = "hunter2-xyzzy"


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(HIDDEN)
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", "%s" % secret):  # noqa: UP031
        assert shown == "********"
    assert secret.reveal() == HIDDEN
    assert secret == Secret(HIDDEN)
    assert secret != Secret("other")
    assert secret != HIDDEN
    assert len({secret, Secret(HIDDEN)}) == 1


def test_a_loaded_secret_is_masked_wherever_the_configuration_is_printed(tmp_path: Path) -> None:
    path = write(tmp_path, f'[database]\npassword = "{HIDDEN}"\n')
    loaded = load(path, environ={"FEEDER_KAFKA__SECURITY__SASL_PASSWORD": HIDDEN})
    database, security = loaded.config.database, loaded.config.kafka.security
    assert database.password is not None
    assert security.sasl_password is not None
    assert database.password.reveal() == security.sasl_password.reveal() == HIDDEN
    for shown in (
        repr(loaded),
        str(loaded.config),
        f"{database}",
        render(loaded),
        *map(str, loaded.warnings),
    ):
        assert HIDDEN not in shown
    assert render(loaded).count('"********"') == 2


@pytest.mark.parametrize(
    "text",
    [
        f'[database]\npassword = ["{HIDDEN}"]',
        f'[database]\npassword = {{ x = "{HIDDEN}" }}',
        f'[database]\npasswrod = "{HIDDEN}"',
        f'[database]\nhost = {{ password = "{HIDDEN}" }}',
        f'database = "postgres://me:{HIDDEN}@host/db"',
        f'[databse]\npassword = "{HIDDEN}"',
        f'[kafka]\nsasl_password = "{HIDDEN}"',
        f'[kafka.security]\nsasl_password = "{HIDDEN}"\nsasl_password_file = "x"',
        f'[kafka.security]\nsasl_password = "{HIDDEN}"\nprotocol = "SASL_SSL"',
        f'[database]\npassword = "{HIDDEN}',
    ],
)
def test_no_problem_shows_a_secret_even_a_misplaced_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ={})
    assert len(caught.value.problems) == 1
    for shown in (str(caught.value), repr(caught.value), repr(caught.value.problems)):
        assert HIDDEN not in shown


@pytest.mark.parametrize("number", ["73519", "7351.9"])
def test_a_secret_that_was_written_as_a_number_is_masked(tmp_path: Path, number: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, f"[database]\npassword = {number}\n"), environ={})
    (problem,) = caught.value.problems
    assert problem.value == "********"
    assert problem.hint == "write it in quotes"
    assert number not in str(problem)


def test_variables_with_a_secret_keep_it_when_they_are_wrong() -> None:
    environ = {"FEEDER_DATABASE__PASWORD": HIDDEN, "FEEDER_KAFKA__SECURITY__SASL_PASSWORD": f"{HIDDEN}\udcff"}
    with pytest.raises(ConfigError) as caught:
        load(None, environ=environ)
    assert len(caught.value.problems) == 2
    assert HIDDEN not in str(caught.value)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "kafka").write_text(f"{HIDDEN}\r\n")
    path = write(
        tmp_path,
        f"""[kafka.security]
protocol = "SASL_SSL"
sasl_username = "me"
sasl_password_file = "{tmp_path / "kafka"}"
""",
    )
    loaded = load(path, environ={})
    security = loaded.config.kafka.security
    assert security.sasl_password is not None
    assert security.sasl_password.reveal() == HIDDEN
    assert security.sasl_password_file == tmp_path / "kafka"
    assert loaded.origins["kafka.security.sasl_password"] == f"file {path}:4"
    assert loaded.warnings == ()


def test_a_secret_given_twice_in_one_place_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "db").write_text(HIDDEN)
    text = f'[database]\npassword_file = "{tmp_path / "db"}"\npassword = "x"\n'
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ={})
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == ("database.password", 3)
    assert problem.message == "and database.password_file are both given"


def test_a_secret_or_its_file_in_the_environment_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("from a file")
    by_value = write(tmp_path, '[database]\npassword = "from config.toml"\n')
    loaded = load(by_value, environ={"FEEDER_DATABASE__PASSWORD_FILE": str(tmp_path / "db")})
    assert loaded.config.database.password == Secret("from a file")
    assert loaded.origins["database.password"] == "environment FEEDER_DATABASE__PASSWORD_FILE"
    by_file = write(tmp_path, '[database]\npassword_file = "/no/such/file"\n')
    loaded = load(by_file, environ={"FEEDER_DATABASE__PASSWORD": "from outside"})
    assert loaded.config.database.password == Secret("from outside")
    assert loaded.origins["database.password"] == "environment FEEDER_DATABASE__PASSWORD"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_secret_file_that_holds_none_is_a_problem(tmp_path: Path, content: bytes | None) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    text = f'[kafka.security]\nprotocol = "SASL_SSL"\nsasl_username = "me"\nsasl_password_file = "{secret}"\n'
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environ={})
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == ("kafka.security.sasl_password_file", 4)
    assert problem.value == f'"{secret}"'
