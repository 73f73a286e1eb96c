"""Small random retrieval problems, shared by the tests of metrics, single-shot scores and verification."""

import warnings

import numpy as np
from hypothesis import strategies as st

AP = ("step", "trapezoid")
LAYOUTS = (
    np.ascontiguousarray,
    np.asfortranarray,
    lambda matrix: matrix[::-1, ::-1].copy()[::-1, ::-1],
    lambda matrix: np.repeat(np.repeat(matrix, 2, axis=0), 3, axis=1)[::2, ::3],
)


@st.composite
def retrieval_cases(draw):
    """Few identities, cameras and distances, so that there are ties, uneven junk, and rare or missing identities."""
    num_query, num_gallery = draw(st.integers(1, 8)), draw(st.integers(1, 12))

    def integers(size, low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)))

    distances = integers(num_query * num_gallery, 0, draw(st.sampled_from([0, 3, 1000])))
    distances = distances.reshape(num_query, num_gallery) / 8
    distances[distances == 0] *= draw(st.sampled_from([1, -1]))
    distances[0, 0] *= -1  # one zero differs from the others in sign only
    cameras = draw(st.booleans())
    num_cameras = draw(st.integers(1, 3))
    return {
        "distances": draw(st.sampled_from(LAYOUTS))(distances.astype(draw(st.sampled_from(["f2", "f4", "f8"])))),
        "query_pids": integers(num_query, 0, 3),
        "gallery_pids": integers(num_gallery, 0, 4),
        "query_camids": integers(num_query, 1, num_cameras) if cameras else None,
        "gallery_camids": integers(num_gallery, 1, num_cameras) if cameras else None,
        "ap": draw(st.sampled_from(AP)),
        "max_rank": draw(st.integers(1, 15)),
    }


def as_lists(case):
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in case.items()}


def quietly(function, *args, **kwargs):
    """Call the function without the warning that no query has a match, which has its own test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **kwargs)
