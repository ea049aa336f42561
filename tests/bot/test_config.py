"""The settings: every kind of mistake is told with its key, its value and what is allowed, and a token is never repeated."""

import contextlib
import importlib.util
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.config import Config, check_layout, load_config, read_token, settings_table
from bot.config_reading import sections_of
from bot.errors import ConfigError, ForwardPassError, MissingTokenError
from bot.sections import StorageConfig
from models.types import Sampling

EXAMPLE = Path(__file__).parents[2] / "config.yaml"
TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.GabcdE.ZnCjm1XVW7vRze4b7Cq4se7kKWs-abcdefghij"
NOTHING: dict[str, str] = {}


def load(tmp_path: Path, text: str, environ: dict[str, str] = NOTHING, **overrides: object) -> Config:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, overrides, environ)


def refused(tmp_path: Path, text: str, environ: dict[str, str] = NOTHING) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environ)
    return caught.value


def test_the_example_is_the_defaults_and_names_every_key():
    assert load_config(EXAMPLE, environ={}) == Config()
    data = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    assert {s: list(keys) for s, keys in data.items()} == {s: list(keys) for s, keys in sections_of(Config).items()}


def test_every_key_of_the_example_has_a_comment_above_it():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    keys = [i for i, line in enumerate(lines) if line.startswith("  ") and not line.strip().startswith("#")]
    assert len(keys) == len(settings_table())
    assert all(lines[i - 1].strip().startswith("#") for i in keys)


@pytest.mark.parametrize("row", settings_table(), ids=lambda row: row.key)
def test_every_setting_is_described(row):
    assert row.description.strip(), f"{row.key} has no description"
    assert row.allowed
    assert not row.description.endswith(".")
    assert "kind" not in row.allowed, f"no words for the type of {row.key}"


def test_every_section_is_described():
    assert all(info.description for info in Config.model_fields.values())


@pytest.mark.parametrize("text", ["", "# nothing\n", "sampling:\n", "sampling: {}\n", "---\n"])
def test_an_empty_file_is_the_defaults(tmp_path, text):
    assert load(tmp_path, text) == Config()


def test_no_file_is_the_defaults_and_config_yaml_here_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(environ={}) == Config()
    Path("config.yaml").write_text("lens: {top_k: 3}", encoding="utf-8")
    assert load_config(environ={}).lens.top_k == 3


def test_the_variable_names_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("other.yaml").write_text("lens: {top_k: 4}", encoding="utf-8")
    Path("config.yaml").write_text("lens: {top_k: 3}", encoding="utf-8")
    assert load_config(environ={"FORWARDPASS_CONFIG": "other.yaml"}).lens.top_k == 4
    assert load_config(Path("config.yaml"), environ={"FORWARDPASS_CONFIG": "other.yaml"}).lens.top_k == 3


@pytest.mark.parametrize(("path", "environ"), [("no.yaml", {}), (None, {"FORWARDPASS_CONFIG": "no.yaml"}), (".", {})])
def test_a_named_file_must_exist(path, environ, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no settings file .*Copy config\.yaml"):
        load_config(Path(path) if path else None, environ=environ)


def test_a_file_that_is_not_text(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_bytes(b"model: \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(file, environ={})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("model:\n  id: [1, 2\n", "line 3, column 1"),
        ("a: b: c", "line 1, column 5"),
        ("x: 1\nlens:\n\ttop_k: 1", "line 3, column 1"),
    ],
)
def test_broken_yaml_is_told_with_line_and_column(tmp_path, text, where):
    error = refused(tmp_path, text)
    assert where in error.for_user()
    assert error.key == "config.yaml"


def test_a_key_given_twice_is_refused(tmp_path):
    error = refused(tmp_path, "lens: {top_k: 1}\nqueue: {per_user: 2}\nlens: {top_k: 2}\n")
    assert "`lens` is given twice" in error.message
    assert "line 3, column 1" in error.message


@pytest.mark.parametrize(
    ("text", "key", "guess"),
    [
        ("sampling: {temprature: 0.5}", "sampling.temprature", "sampling.temperature"),
        ("modle: {id: x}", "modle", "model"),
        ("top_p: 0.5", "top_p", "sampling.top_p"),
        ("model: {keep_days: 2}", "model.keep_days", "storage.keep_days"),
    ],
)
def test_an_unknown_key_is_told_with_the_closest(tmp_path, text, key, guess):
    error = refused(tmp_path, text)
    assert error.key == key
    assert f"there is no setting `{key}`. Did you mean `{guess}`?" in error.message


@pytest.mark.parametrize(
    ("text", "key", "value", "allowed"),
    [
        ("lens: {top_k: 0}", "lens.top_k", 0, "a whole number from 1 to 50"),
        ("lens: {top_k: many}", "lens.top_k", "many", "a whole number from 1 to 50"),
        ("lens: {top_k: 1.5}", "lens.top_k", 1.5, "a whole number from 1 to 50"),
        ("lens: {top_k: yes}", "lens.top_k", True, "a whole number from 1 to 50"),
        ("sampling: {temperature: 3}", "sampling.temperature", 3, "a number from 0 to 2"),
        ("sampling: {top_p: 0}", "sampling.top_p", 0, "a number, more than 0 and at most 1"),
        ("sampling: {seed: x}", "sampling.seed", "x", "a whole number from 0 to 9223372036854775807, or empty"),
        ("discord: {inner_voice: loud}", "discord.inner_voice", "loud", "thread, button or off"),
        (
            "discord: {channels: {7: loud}}",
            "discord.channels.7",
            "loud",
            "numeric channel ids, each with thread, button or off",
        ),
        (
            "discord: {channels: {general: off}}",
            "discord.channels.general",
            "general",
            "numeric channel ids, each with thread, button or off",
        ),
        ("discord: {channels: 7}", "discord.channels", 7, "numeric channel ids, each with thread, button or off"),
        ("discord: {message_content: maybe}", "discord.message_content", "maybe", "true or false"),
        ("threads: {archive_minutes: 90}", "threads.archive_minutes", 90, "60, 1440, 4320 or 10080"),
        ("model: {device: gpu}", "model.device", "gpu", "auto, cuda, cuda:N, mps or cpu"),
        ("model: {device_map: 7}", "model.device_map", 7, "text, or a mapping, or empty"),
        (
            "storage: {url: 'mysql://h/d'}",
            "storage.url",
            "mysql://h/d",
            "sqlite+aiosqlite:///path/of/file or postgresql+asyncpg://user@host/name, or empty",
        ),
        ("lens: 7", "lens", 7, f"a section with the keys {', '.join(type(Config().lens).model_fields)}"),
        ("[1, 2]", "config.yaml", [1, 2], "sections such as `model:` with their keys below"),
    ],
)
def test_a_wrong_value_is_told_with_key_value_and_what_is_allowed(tmp_path, text, key, value, allowed):
    error = refused(tmp_path, text)
    assert (error.key, error.value, error.allowed) == (key, value, allowed)
    assert error.message == f"config: `{key}` is {value!r}. Allowed: {allowed}."


def test_all_problems_are_told_at_once(tmp_path):
    error = refused(tmp_path, "lens: {top_k: 0, topk: 1}\nsampling: {temperature: 9}\n", {"FORWARDPASS_QUEUE__PER_USER": "8"})
    assert len(error.problems) == 4
    assert error.message.startswith("config: 4 settings are wrong:\n- ")
    assert "`queue.per_user` is 8 (from FORWARDPASS_QUEUE__PER_USER)." in error.message
    assert error.key == "lens.topk"


def test_words_that_yaml_takes_for_switches(tmp_path):
    config = load(tmp_path, "discord: {inner_voice: off, channels: {123: off, '456': thread}}")
    assert config.discord.inner_voice == "off"
    assert config.discord.channels == {"123": "off", "456": "thread"}


def test_the_environment_comes_before_the_file_and_the_command_line_before_both(tmp_path):
    text = "lens: {top_k: 2}\nqueue: {per_user: 2, max_waiting: 2}"
    environ = {"FORWARDPASS_LENS__TOP_K": "3", "FORWARDPASS_QUEUE__PER_USER": "3", "OTHER": "x", "FORWARDPASS_TOKEN": TOKEN}
    config = load(tmp_path, text, environ, **{"queue.per_user": 4, "sampling": {"seed": 5}})
    assert (config.queue.max_waiting, config.lens.top_k, config.queue.per_user, config.sampling.seed) == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("MODEL__REVISION", "123456", "123456"),
        ("MODEL__REVISION", "", None),
        ("SAMPLING__SEED", "", None),
        ("SAMPLING__TEMPERATURE", "1e-1", 0.1),
        ("DISCORD__INNER_VOICE", "off", "off"),
        ("DISCORD__MESSAGE_CONTENT", "yes", True),
        ("DISCORD__CHANNELS", "{12: off}", {"12": "off"}),
        ("MODEL__MAX_MEMORY", "{0: 2GiB, cpu: 4GiB}", {0: "2GiB", "cpu": "4GiB"}),
        ("MODEL__DEVICE_MAP", "balanced", "balanced"),
        ("THREADS__ARCHIVE_MINUTES", "1440", 1440),
    ],
)
def test_the_environment_is_read_as_each_setting_needs(name, text, expected):
    config = load_config(EXAMPLE, environ={f"FORWARDPASS_{name}": text})
    section, key = name.lower().split("__")
    assert getattr(getattr(config, section), key) == expected


@pytest.mark.parametrize("name", ["FORWARDPASS_LENS__TOPK", "FORWARDPASS_LENSES__TOP_K"])
def test_an_unknown_variable_is_refused(name):
    with pytest.raises(ConfigError, match="Did you mean"):
        load_config(EXAMPLE, environ={name: "1"})


def test_broken_yaml_in_the_environment_is_a_wrong_value():
    with pytest.raises(ConfigError, match=r"`discord\.channels` is '\{1: '"):
        load_config(EXAMPLE, environ={"FORWARDPASS_DISCORD__CHANNELS": "{1: "})


@pytest.mark.parametrize(
    "text",
    [
        f"discord: {{token: {TOKEN}}}",
        f"token: {TOKEN}",
        f"discord: {{token_file: {TOKEN}}}",
        f"discord: {{bot_token: [{TOKEN}]}}",
        f"{TOKEN}: 1",
        f"model: {{{TOKEN}: 1}}",
        f"prompt: {{system: 'my token is {TOKEN}'}}",
        f"discord: {{channels: {{1: {TOKEN}}}}}",
        f"lens: {{top_k: [[[[{TOKEN}]]]]}}",
        f"lens: {{top_k: [[[[[[[[[{TOKEN}]]]]]]]]]}}",
        f"x: !{TOKEN} 1",
        f"x: *{TOKEN}",
        f"x: [{TOKEN}",
        TOKEN,
        f"- {TOKEN}",
    ],
)
def test_a_token_in_the_file_is_refused_and_never_repeated(tmp_path, text):
    error = refused(tmp_path, text)
    assert TOKEN not in f"{error!r} {error} {error.for_user()} {error.key} {error.problems} {error.allowed}"
    assert TOKEN[30:] not in f"{error!r} {error.problems}"


def test_the_refusal_of_a_token_says_where_it_belongs(tmp_path):
    error = refused(tmp_path, "discord: {token: secret-of-another-shape, inner_voice: loud}")
    assert "FORWARDPASS_TOKEN" in error.message
    assert "secret-of-another-shape" not in error.message
    assert error.value == "(hidden)"
    assert "discord.inner_voice" in error.message, "the section's other mistakes are told, too"


def test_a_token_as_a_variable_of_a_setting_is_refused():
    with pytest.raises(ConfigError) as caught:
        load_config(EXAMPLE, environ={"FORWARDPASS_DISCORD__TOKEN": "secret"})
    assert "'secret'" not in str(caught.value)


def test_a_password_in_the_url_is_not_repeated(tmp_path):
    assert "hunter2" not in str(refused(tmp_path, "storage: {url: 'mysql://me:hunter2@h/d'}"))
    config = load(tmp_path, "storage: {url: 'postgresql+asyncpg://me:hunter2@h/d'}")
    assert "hunter2" not in repr(config)


junk_key = st.one_of(st.sampled_from([*sections_of(Config), "token", "top_k", "channels", "inner_voice"]), st.text(max_size=8))
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(junk_key, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(junk_key, st.dictionaries(junk_key, junk, max_size=3) | junk, max_size=4))
def test_any_yaml_gives_settings_or_a_config_error(tmp_path, data):
    with contextlib.suppress(ConfigError):
        load(tmp_path, yaml.safe_dump(data))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet=st.sampled_from(list("model:lens top_k{}[]&*!|>%@`'\"#,-?0x1.:\n\t~é\x00")), max_size=40)
    | st.text(max_size=40)
)
def test_any_text_gives_settings_or_a_config_error(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ConfigError):
        load_config(file, environ={})


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [*x]",
        "lens: &x {top_k: *x}",
        "lens: {top_k: !!bool x}",
        "lens: {top_k: !!int ''}",
        "lens: {top_k: !!timestamp x}",
        "lens: {top_k: 2020-99-99}",
        "lens: {top_k: 0x" + "f" * 6000 + "}",
        "lens: {top_k: " + "9" * 6000 + "}",
        "lens: {top_k: " + "[" * 3000 + "]" * 3000 + "}",
        "? [1]\n: 2",
        "? {a: 1}\n: 2",
        "lens: {<<: 5}",
        "storage: {url: '" + "x" * 500 + "'}",
        "discord: {channels: {yes: off, 1.5: off}}",
        "prompt: !!python/object/apply:os.getcwd []",
    ],
)
def test_nasty_yaml_gives_a_config_error(tmp_path, text):
    assert len(refused(tmp_path, text).message) < 700


def test_the_token_comes_from_the_environment_first(tmp_path):
    config = Config.model_validate({"discord": {"token_file": str(tmp_path / "none")}})
    assert read_token(config, {"FORWARDPASS_TOKEN": f"  {TOKEN}\n"}) == TOKEN


def test_the_token_file_lies_beside_the_settings(tmp_path, caplog):
    (tmp_path / "token.txt").write_text(f"{TOKEN}\n", encoding="utf-8")
    (tmp_path / "token.txt").chmod(0o600)
    config = load(tmp_path, "discord: {token_file: token.txt}")
    assert read_token(config, {}) == TOKEN
    assert TOKEN not in repr(config)
    assert not caplog.records


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_file_that_others_can_read_is_warned_of(tmp_path, caplog, mode):
    file = tmp_path / "token.txt"
    file.write_text(TOKEN, encoding="utf-8")
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert read_token(load(tmp_path, "discord: {token_file: token.txt}"), {}) == TOKEN
    assert "chmod 600" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read"), (b"  \n", "is empty"), (b"\xff\xfe\x00", "is not a text file")]
)
def test_a_token_file_without_a_token(tmp_path, content, why):
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(MissingTokenError, match=why) as caught:
        read_token(load(tmp_path, "discord: {token_file: t}"), {"FORWARDPASS_TOKEN": " "})
    assert "FORWARDPASS_TOKEN" in caught.value.for_user()


def test_no_token_at_all():
    with pytest.raises(MissingTokenError, match="no bot token"):
        read_token(Config(), {})


def test_the_sections_from_the_model_side_are_the_model_sides_own():
    assert Config().sampling == Sampling()


def test_where_runs_are_kept():
    assert StorageConfig().resolved_url().startswith("sqlite+aiosqlite:///")
    assert "forward-pass" in StorageConfig().resolved_url()
    assert StorageConfig(url="sqlite+aiosqlite://").resolved_url() == "sqlite+aiosqlite://"


def test_the_three_packages_lie_under_one_parent():
    check_layout()


@pytest.mark.parametrize("origin", ["/elsewhere/cogs/__init__.py", None])
def test_a_package_of_the_same_name_elsewhere_is_refused(monkeypatch, origin):
    real = importlib.util.find_spec
    stranger = SimpleNamespace(origin=origin)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: stranger if name == "cogs" else real(name))
    with pytest.raises(ForwardPassError, match="cogs in") as caught:
        check_layout()
    assert "virtual environment" in caught.value.hint


def test_listening_needs_the_content_of_messages(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("discord:\n  listen: [ask-me]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="message_content: true") as caught:
        load_config(file, environ={})
    assert caught.value.key == "discord.listen"
    file.write_text("discord:\n  listen: [ask-me]\n  message_content: true\n", encoding="utf-8")
    assert load_config(file, environ={}).discord.listen == ("ask-me",)
