"""TensorFlow's messages stay away unless GAAP_VERBOSE asks for them, or its import fails."""

import os
import subprocess
import sys

import pytest

from gaaplib import quiet


def errors_of(code, **environment):
    environment = {**{name: text for name, text in os.environ.items() if name != "GAAP_VERBOSE"}, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.skipif(os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason="TensorFlow greets")
def test_importing_keras_prints_nothing_unless_asked():
    code = "import gaaplib.attention, keras; keras.ops.ones(3)"
    assert errors_of(code) == ""
    assert "oneDNN" in errors_of(code, GAAP_VERBOSE="1")


def test_what_native_code_writes_is_shown_if_the_block_fails(capfd):
    with quiet.standard_error_aside():
        os.write(2, b"a greeting")
    with pytest.raises(ValueError), quiet.standard_error_aside():
        os.write(2, b"the reason")
        raise ValueError
    assert capfd.readouterr().err == "the reason"
    os.write(2, b"as before")
    assert capfd.readouterr().err == "as before"


@pytest.mark.parametrize(("value", "verbose"), [("1", True), ("0", False), ("", False)])
def test_verbose_is_a_switch(monkeypatch, value, verbose):
    monkeypatch.setenv("GAAP_VERBOSE", value)
    assert quiet.is_verbose() == verbose
