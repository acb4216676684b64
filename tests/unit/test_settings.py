from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.settings import SettingsError, read_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "LABEL_STUDIO_HOST",
        "LABEL_STUDIO_URL",
        "LABEL_STUDIO_API_KEY",
        "MODEL_DIR",
        "PORT",
        "LOG_LEVEL",
        "REDIS_URL",
    ):
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = read_settings()
    assert (settings.model_dir, settings.port, settings.start_training_each_n_updates) == (Path("."), 9090, 1)
    assert settings.label_studio_host == "http://localhost:8080"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("MODEL_DIR", "")
    assert (read_settings().port, read_settings().model_dir) == (9090, Path("."))


@pytest.mark.parametrize("name", ["LABEL_STUDIO_HOST", "LABEL_STUDIO_URL"])
def test_both_names_of_label_studios_address_mean_the_same(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "https://studio.example/")
    assert read_settings().label_studio_host == "https://studio.example"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "abc", "PORT is 'abc'"),
        ("PORT", "70000", "PORT is '70000'"),
        ("LABEL_STUDIO_HOST", "localhost:8080", "LABEL_STUDIO_HOST is 'localhost:8080': expected an address"),
        ("START_TRAINING_EACH_N_UPDATES", "0", "START_TRAINING_EACH_N_UPDATES is '0'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'LOUD'"),
        ("UNLABELED", "maybe", "UNLABELED is 'maybe'"),
        ("DEVICE", "gpu", "DEVICE is 'gpu'"),
        (
            "LABEL_STUDIO_HOST",
            "http://anna:hidden@studio",
            "LABEL_STUDIO_HOST is 'http://…@studio': expected",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is 'xml'"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL: expected an address that starts with redis://"),
        ("REDIS_URL", "redis://:hidden#word@host", "write # / ? @ % in the password as %23"),
        ("TRAININGS_AT_ONCE", "0", "TRAININGS_AT_ONCE is '0'"),
        ("BASIC_AUTH_USER", "anna", "BASIC_AUTH_USER and BASIC_AUTH_PASS go together"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert said in str(error.value)
    assert "hidden" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here, so asking for one is no mistake")
def test_a_gpu_that_is_not_there_is_a_mistake_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().training().device == "cpu"
    monkeypatch.setenv("DEVICE", "cuda")
    with pytest.raises(SettingsError, match=r"DEVICE is cuda, but torch .* finds no GPU"):
        read_settings()


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "very-secret")
    monkeypatch.setenv("BASIC_AUTH_PASS", "hidden-word")
    monkeypatch.setenv("REDIS_URL", "http://:not-for-the-log@redis")
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert "hidden-word" not in str(error.value)
    assert "not-for-the-log" not in str(error.value)
    monkeypatch.setenv("REDIS_URL", "redis://:not-for-the-log@redis")
    monkeypatch.setenv("BASIC_AUTH_USER", "anna")
    assert "very-secret" not in repr(read_settings())
    assert "not-for-the-log" not in repr(read_settings())
    assert "hidden-word" not in repr(read_settings())


def test_every_setting_is_in_the_readme() -> None:
    from backend.settings import Settings

    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    missing = [name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in readme]
    assert missing == []
