from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.config.options import (
    OPTIONS,
    Options,
    PackageOptions,
    RuntimeOptions,
    make_line_parser,
    make_options,
    package_values,
    split_line,
)
from buildr_jupyter.errors import ImageRefError, OptionError
from buildr_jupyter.model.request import Mount, PortBinding, Secret, Standing


def parse(line: str, folder: Path = Path("/")) -> Options:
    args = vars(make_line_parser().parse_args(split_line(line)))
    return make_options(args, base_folder=folder)


def test_a_line_becomes_typed_options(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    options = parse(
        "app --tag a --tag b --publish --repository ghcr.io/me --env 'X=a b' --run-env TOKEN --run-env Y=1 "
        "--port 80 --port 8080:80/udp --port 0.0.0.0:9:9 --mount in:/data:ro --memory 1.5g --cpus 2 --apt libgl1 "
        "--param n=3 --param m --platform linux/amd64,linux/arm64 --python 3.12",
        tmp_path,
    )
    assert options.name == "app"
    assert options.tags == ("a", "b")
    assert options.environment == (("X", "a b"),)
    assert options.run_environment == (("TOKEN", None), ("Y", "1"))
    assert options.ports == (
        PortBinding(80, 80, "127.0.0.1"),
        PortBinding(80, 8080, "127.0.0.1", "udp"),
        PortBinding(9, 9, "0.0.0.0"),
    )
    assert options.mounts == (Mount((tmp_path / "in").resolve(), "/data", True),)
    assert options.memory_bytes == int(1.5 * 1024**3)
    assert options.params == (("n", "3"), ("m", None))
    assert options.platforms == ("linux/amd64", "linux/arm64")
    assert [str(ref) for ref in options.refs("x")] == ["ghcr.io/me/app:a", "ghcr.io/me/app:b"]
    assert "1" not in repr(options.run_environment) or "Y" not in repr(options)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("--memory lots", "--memory: 'lots'"),
        ("--memory 0", "--memory"),
        ("--cpus -1", "--cpus"),
        ("--cpus nan", "--cpus"),
        ("--port 99999", "--port: '99999'"),
        ("--port x", "--port"),
        ("--port 80/icmp", "--port"),
        ("--mount nowhere:/x", "does not exist"),
        ("--mount /:relative", "SRC:DST"),
        ("--env NOVALUE", "has no '='"),
        ("--env 1X=2", "not a variable name"),
        ("--env 'A B=2'", "not a variable name"),
        ("--apt 'x; rm -rf /'", "Debian package"),
        ("--apt -y", "expected one argument"),
        ("--python 2.7", "--python"),
        ("--param 1x", "--param"),
        ("--platform amd64", "--platform"),
        ("--ui fancy", "--ui"),
        ("--no-such", "--no-such"),
        ("--publis", "--publis"),
        ("a --name b", "two names"),
        ("'open", "no closing quotation"),
    ],
)
def test_wrong_use_names_the_option(line: str, word: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse(line)
    assert word in str(raised.value)
    assert raised.value.exit_status == 2


def test_names_are_checked_when_references_are_made() -> None:
    with pytest.raises(ImageRefError, match="capital"):
        parse("MyApp").refs("x")
    with pytest.raises(ImageRefError, match="129 characters"):
        parse(f"--tag {'t' * 129}").refs("x")
    assert str(parse("").refs("quick")[0]) == "quick:latest"
    assert str(parse("reg:5000/a/b:1").refs("x")[0]) == "reg:5000/a/b:1"


def test_nothing_is_pushed_to_a_registry_that_nobody_named() -> None:
    for line in ("app --publish", "--publish"):
        with pytest.raises(OptionError, match="no registry or repository") as raised:
            parse(line).check_publish()
        assert "BUILDR_REPOSITORY" in (raised.value.hint or "")
    for line in ("me/app --publish", "app --repository me --publish", "x --repository me/team --publish"):
        with pytest.raises(OptionError, match="names no registry") as raised:
            parse(line).check_publish()
        hint = (raised.value.hint or "").partition(": ")[2]
        parse(f"app --publish {hint}").check_publish()
        parse(line).check_publish(by_docker_rules=True)
    parse("app --repository ghcr.io/me --publish").check_publish()


@given(st.text(max_size=40))
def test_any_line_splits_parses_or_is_refused(line: str) -> None:
    try:
        parse(line)
    except OptionError:
        pass


def test_every_option_has_help_and_a_field_of_its_own() -> None:
    assert all(option.help for option in OPTIONS)
    assert len({option.field for option in OPTIONS}) == len(OPTIONS)
    help_text = make_line_parser().format_help()
    assert all(f"--{option.name}" in help_text for option in OPTIONS)


def test_the_seeds_defaults() -> None:
    package, runtime = PackageOptions.load({}), RuntimeOptions.load({})
    assert (package.repository, package.name, package.builder, package.publish) == (None, None, "auto", False)
    assert (package.py_version, package.dockerfile, package.additionalFiles) == (None, None, ())
    assert (package.quiet, package.fallback_local) == (False, False)
    assert (runtime.executor, runtime.replicas, runtime.ports, runtime.public) == ("docker", 0, (), False)
    assert (runtime.shardSpec, runtime.jobSpec) == (None, None)


def test_the_decorators_options_on_a_cluster(tmp_path: Path) -> None:
    package = PackageOptions.load({"name": "a", "repository": "r.example/me", "publish": True})

    def made(**runtime: object) -> Options:
        given = RuntimeOptions.load({"executor": "metaparticle", "ports": [8080], **runtime})
        return make_options(package_values(package, given, in_engine=False), base_folder=tmp_path)

    assert made(shardSpec={"shards": 3}).standing == Standing(shards=3)
    options = made(replicas=2, public=True)
    assert (options.standing, options.on) == (Standing(replicas=2, public=True), "metaparticle")
    assert options.ports == (PortBinding(8080, 8080),)
    assert (made().standing, made().iterations) == (None, 0)
    assert made(jobSpec={"iterations": 4}).iterations == 4
    with pytest.raises(OptionError, match="does not say how many iterations"):
        made(jobSpec={"replicas": 4})
    with pytest.raises(OptionError, match="does not say how many shards"):
        made(shardSpec={"shardExpression": ".*"})


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"nam": "x"}, "unknown option 'nam'"),
        ({"publish": "yes"}, "publish"),
        ({"name": 3}, "name is a text"),
        ([], "a dict"),
    ],
)
def test_bad_seed_options_are_plain_errors(values: object, word: str) -> None:
    with pytest.raises(OptionError, match=word):
        PackageOptions.load(values)  # type: ignore[arg-type]


def test_seed_options_become_the_same_options() -> None:
    package = PackageOptions.load({"name": "x", "py_version": 3, "additionalFiles": ["a"], "env": {"K": "v=1"}})
    values = package_values(package, RuntimeOptions.load({"ports": [80], "public": True}))
    options = make_options(values, base_folder=Path("/"))
    assert options.ports == (PortBinding(80, 80, "0.0.0.0"),)
    assert options.environment == (("K", "v=1"),)
    assert options.include == ("a",)
    assert options.python is None
    local = package_values(package, RuntimeOptions.load({"ports": [80]}))
    assert make_options(local, base_folder=Path("/")).ports == (PortBinding(80, 80, "127.0.0.1"),)


def test_secrets_agents_and_caches(tmp_path: Path) -> None:
    options = parse(
        "--secret id=a --secret 'id=b,src=in, here' --secret id=c,env=C --secret type=env,id=d,src=D --ssh default "
        "--ssh git=/run/agent --cache-from reg/x:1 --cache-to type=registry,ref=reg/x:1,mode=max",
        tmp_path,
    )
    assert options.secrets == (
        Secret("a"), Secret("b", tmp_path / "in, here"), Secret("c", variable="C"), Secret("d", variable="D"),
    )  # fmt: skip
    assert options.ssh == (("default", None), ("git", "/run/agent"))
    assert (options.cache_from, options.cache_to) == (("reg/x:1",), ("type=registry,ref=reg/x:1,mode=max",))


@pytest.mark.parametrize("text", ["", "a", "src=x", "id=", "id=a b", "id=a,other=1", "id=a,src=x,env=Y"])
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(OptionError, match="--secret: "):
        parse(f"--secret '{text}'" if text else "--secret ,")


@pytest.mark.parametrize("text", ["=x", "a="])
def test_what_is_no_agent(text: str) -> None:
    with pytest.raises(OptionError, match="--ssh: "):
        parse(f"--ssh {text}")


def test_iterations_run_the_program_with_the_values_of_set() -> None:
    options = parse("app --iterations 3 --set n=4")
    assert (options.run, options.iterations, options.sets) == (True, 3, (("n", "4"),))
    with pytest.raises(OptionError, match="nothing is run"):
        parse("app --set n=4")


@pytest.mark.parametrize(
    ("line", "check", "name"),
    [
        ("app", None, "app"),
        ("--check app", "program", "app"),
        ("--check=program app", "program", "app"),
        ("app --check=image --run", "image", "app"),
    ],
)
def test_a_flag_that_may_have_a_choice(line: str, check: str | None, name: str) -> None:
    """The next word is not its value."""
    options = parse(line)
    assert (options.check, options.name) == (check, name)


def test_a_flag_with_a_choice_that_is_none() -> None:
    with pytest.raises(OptionError, match="invalid choice: 'imgae'") as caught:
        parse("app --check=imgae")
    assert "image" in str(caught.value.hint)


def test_what_comes_after_two_dashes_is_no_option() -> None:
    parser = make_line_parser()
    assert parser.parse_known_args(["app", "--", "--check"])[1] in (["--", "--check"], ["--check"])


@pytest.mark.parametrize("option", [option.name for option in OPTIONS if option.kind != "flag" and not option.choices])
def test_an_empty_text_is_refused(option: str) -> None:
    with pytest.raises(OptionError, match=f"argument --{option}: nothing is written behind it"):
        make_line_parser().parse_args([f"--{option}", ""])


def test_an_input_knows_the_option_that_asked_for_it(tmp_path: Path) -> None:
    given = {"run": True, "set": ["a=1"], "map": ["b=1,2"], "param": ["c"]}
    options = make_options(given, base_folder=tmp_path)
    assert {name: options.option_of(name) for name, _ in options.params} == {
        "a": "--set", "b": "--map", "c": "--param",
    }  # fmt: skip
