"""What a method's own file says of its settings: its options, and what other settings are unless they are given.

The files are read and not imported, so that a wrong option is refused before Keras is there.
"""

from gaaplib.project import literal


def known(method):
    """The options of a method with their defaults, ``OPTIONS`` in its file: a dict, empty if there are none."""
    return literal(f"gaaplib.methods.{method}", "OPTIONS") or {}


def defaults(method):
    """What settings of a run are for this method unless they are given, ``DEFAULTS`` in its file: a dict."""
    return _settings(method, "DEFAULTS")


def recipe(method):
    """The training of a method's own paper, ``RECIPE`` in its file: a dict, empty if it is not known."""
    return _settings(method, "RECIPE")


def only(method, text):
    """The settings that have one value alone with this method, ``ONLY`` in its file: a dict.

    The method does not use them, or has something of its own in their place. A setting that it does not use with one
    value of an option is in a dict of that option, ``{"metric=circle": {"margin": 0.3}}``.

    Args:
        method: a key of ``METHODS``.
        text: its options, as for :func:`parsed`.
    """
    words = {f"{name}={value}" for name, value in parsed(method, text).items()}
    found = {}
    for name, value in _settings(method, "ONLY").items():
        if not isinstance(value, dict):
            found[name] = value
        elif name in words:
            found |= value
    return found


def limits(method):
    """What values options may have, ``LIMITS`` in the method's file: a dict.

    A number's are the lowest and the highest, both allowed; a word's are all that there are. Those without limits may
    have any value.
    """
    return _settings(method, "LIMITS")


def needs(method):
    """``NEEDS`` of a method's file, the names of what its network sees beside the images; none if it has none."""
    return literal(f"gaaplib.methods.{method}", "NEEDS") or ()


def beside(method, text):
    """The names of what is read beside the images: :func:`needs`, and masks if the options of the method ask for them.

    Example:
        >>> beside("gaap", None), beside("pgfa", None), beside("fpr", "masks=1")
        ((), ('keypoints',), ('masks',))
    """
    return (*needs(method), *(("masks",) if parsed(method, text).get("masks") else ()))


def start(method):
    """``START`` of a method's file, a dict: the settings of the runs that it starts from; None unless it adapts."""
    return literal(f"gaaplib.methods.{method}", "START")


def starts(method, text, backbone):
    """The settings of each run that a method starts from: one for its backbone, and one for each of its ``others``.

    Args:
        method: a key of ``METHODS`` that adapts.
        text: its options, as for :func:`parsed`. ``others``, if there are any, are the names of further backbones.
        backbone: the run's.
    """
    others = parsed(method, text).get("others", "")
    return [start(method) | {"backbone": name} for name in (backbone, *filter(None, others.split(",")))]


def _settings(method, name):
    """A literal dict of a method's file; if it is a word, that of the method of this name."""
    found = literal(f"gaaplib.methods.{method}", name) or {}
    return _settings(found, name) if isinstance(found, str) else found


def parsed(method, text):
    """The values of all options of a method: those in the text, and the defaults of the others.

    Args:
        method: a key of ``METHODS``.
        text: such as ``"centre=0 channels=one"``; None: the defaults.

    Raises:
        ValueError: an option that the method does not have, a value of a wrong type, or one beyond its limits.

    Example:
        >>> parsed("agw", "channels=one")
        {'centre': 0.0005, 'channels': 'one'}
    """
    found = dict(known(method))
    for word in (text or "").split():
        name, equals, value = word.partition("=")
        if name not in found or not equals:
            listed = " ".join(f"{key}={default}" for key, default in known(method).items()) or "none"
            raise ValueError(f"options={text!r}: method={method!r} has no option {word!r}; it has {listed}")
        kind = type(known(method)[name])
        try:
            found[name] = kind(value)
        except ValueError:
            raise ValueError(f"options={text!r}: {name}={value!r} must be a {kind.__name__}") from None
        _check_limits(text, name, found[name], limits(method).get(name))
    return found


def _check_limits(text, name, value, allowed):
    """Refuse an option's value that is not between its limits, or not among its words; all are allowed if None."""
    if allowed is None:
        return
    if isinstance(value, str):
        if value not in allowed:
            raise ValueError(f"options={text!r}: {name}={value!r} is not known; known: {', '.join(allowed)}")
    elif not allowed[0] <= value <= allowed[1]:
        raise ValueError(f"options={text!r}: {name}={value!r}: expected {allowed[0]} to {allowed[1]}")


def as_text(method, values):
    """Options as the text that :func:`parsed` reads, in their own order and without defaults; None if all are defaults.

    Example:
        >>> as_text("agw", {"centre": 0.0005, "channels": "one"})
        'channels=one'
    """
    changed = {name: value for name, value in values.items() if value != known(method)[name]}
    return " ".join(f"{name}={value}" for name, value in changed.items()) or None
