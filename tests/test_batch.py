"""Parameters of notebooks, and what notebooks print."""

import io

import pytest

from gaaplib.batch import Printed, parse_parameters

KNOWN = {
    "profile": {"inferred_type_name": "str"},
    "epochs": {"inferred_type_name": "Optional[int]"},
    "alpha": {"inferred_type_name": "Optional[float]"},
    "neck": {"inferred_type_name": "Optional[str]"},
    "seed": {"inferred_type_name": "int"},
    "flag": {"inferred_type_name": "bool"},
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "3", 3),
        ("epochs", "None", None),
        ("epochs", "5", 5),
        ("alpha", "1", 1.0),
        ("flag", "false", False),
        ("flag", "True", True),
        ("profile", "7", "7"),
        ("neck", "None", None),
        ("neck", "none", "none"),
    ],
)
def test_a_text_becomes_a_value_of_the_parameters_type(name, text, value):
    found = parse_parameters([(name, text)], KNOWN, "n")
    assert found == {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sed", "3", "no parameter 'sed' .did you mean seed..; known: profile, epochs, alpha, neck, seed, flag"),
        ("seed", "3.5", "seed='3.5': expected int"),
        ("seed", "none", "seed='none': expected int"),
        ("epochs", "many", "epochs='many': expected int or None"),
        ("flag", "0", "flag='0': expected true or false"),
    ],
)
def test_what_does_not_fit_is_named(name, text, message):
    with pytest.raises(ValueError, match=message):
        parse_parameters([(name, text)], KNOWN, "n")


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(ValueError, match="'seed' is given twice"):
        parse_parameters([("seed", "1"), ("seed", "2")], KNOWN, "n")


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (Screen(), "\r\x1b[Kepoch 1/2\r\x1b[Kepoch 2/2\ndone\n"),
        (io.StringIO(), "epoch 1/2\nepoch 2/2\ndone\n"),
    ],
)
def test_in_a_terminal_epochs_share_a_line(stream, expected):
    printed = Printed(stream)
    for text in ("epoch 1/2\n", "epoch 2/2\n", "done\n"):
        printed.write(text)
    assert stream.getvalue() == expected
