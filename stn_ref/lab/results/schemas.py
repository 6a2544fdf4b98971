"""The contents of a file of results: what every result holds, and what the tables and figures of an experiment read.

Reads: ../../schema.py, ../published_numbers.py. Read next: store.py.
"""

from collections.abc import Iterator

from stn_ref.lab.published_numbers import CIFAR10_CORRECT
from stn_ref.schema import COUNT, FRACTION, NUMBER, PERCENT, POSITIVE, Number, misfit
from stn_ref.training.history import ROW

RESULT = {
    **dict.fromkeys(("experiment", "scale", "cell", "data", "machine", "date"), str),
    "seed": COUNT,
    "seconds": POSITIVE,
    "configuration": {},
    "result": {"test_error_percent?": (PERCENT, None), "n_test?": COUNT, "training_seconds?": POSITIVE},
    "versions": {"stn_ref": str, "numpy": str},
}
EPOCH = {key if key == "epoch" else f"{key}?": kind for key, kind in ROW.items()}  # others are for `cifar10` to check
TRAINED = {  # what a page says of a training
    "configuration": {
        **dict.fromkeys(("epochs", "batch_size", "n_train", "n_val", "warmup"), COUNT),
        **dict.fromkeys(("optimiser", "schedule"), str),
        "lr": NUMBER,
        "watched?": str,
    },
    "result": {"test_error_percent": (PERCENT, None), "n_test": COUNT},
    "history": [EPOCH, EPOCH, ...],
}
_PASSES, _POSES = ("forward", "backward", "step"), ("shift", "rotation", "scale")
_QUANTILES = {part: [NUMBER, NUMBER, NUMBER] for part in _PASSES}  # 50, 10 and 90 %
OVERHEAD = {
    "threads": COUNT,
    **dict.fromkeys(("share_percent", "slower_percent"), _QUANTILES),
    **dict.fromkeys(("multiplications_share_percent", "multiplications_more_percent"), dict.fromkeys(_PASSES, NUMBER)),
}
LOGGED = len(CIFAR10_CORRECT)  # epochs of the README that `cifar10` is compared with
CIFAR10 = {
    "test_accuracy_percent": PERCENT,
    **dict.fromkeys(("last_percent?", "last_ten_percent?", "best_percent?"), PERCENT),
    "view?": dict.fromkeys(("side", "side_sd", "angle_degrees"), NUMBER),
}
COUNTS = {"quoted": NUMBER, "of_8": {str: {"value?": NUMBER, "simulated": NUMBER, "standard_error": POSITIVE}}}
POSED = {  # configuration
    **dict.fromkeys(("n_posed", "n_one_pixel"), COUNT),
    **{pose: [NUMBER, NUMBER, ...] for pose in _POSES},
}
DISTANCES = {f"{end}_distance{of}_percent?": NUMBER for end in ("head", "tail") for of in ("", "_unmoved")}
_UNDONE = (None, dict.fromkeys(("correlation", "before", "after"), NUMBER))  # None: there is nothing to undo
UNDONE = {"undone?": dict.fromkeys(("angle", "scale", "place"), _UNDONE), "views?": [[NUMBER, ...], ...]}
REGULARISED = dict.fromkeys(("train_error_percent?", "inconsistency_percent?"), NUMBER)


def why_damaged(value) -> str:
    """Return why a value is not a result, or an empty string if it is one; the text names the key."""
    return next(filter(None, (misfit(value, schema) for schema in _schemas(value))), "")


def _schemas(result: dict) -> Iterator[dict]:
    """Yield the schemas that a result must fit, each after the result fits the one before."""
    yield RESULT
    name, configuration = result["experiment"], result["configuration"]
    if "history" in result or name in ("table1", "addition", "cifar10", "clutter"):
        yield TRAINED
    if name == "table1":
        yield {"result": UNDONE}
    elif name == "overhead":
        yield {"result": OVERHEAD}
    elif name == "cifar10":
        yield {"configuration": {"watched": str, "epochs": Number(1, LOGGED, whole=True)}, "result": CIFAR10}
        column = "test_accuracy" if configuration["watched"] == "test" else "val_accuracy"
        yield {"history": [{column: FRACTION}] * configuration["epochs"]}
    elif name == "pooling" and result["cell"].startswith("counts/"):
        yield {"result": COUNTS}
    elif name == "pooling":
        yield {"configuration": POSED}
        yield {"result": _posed(configuration)}
    elif name == "parts":
        yield {"result": DISTANCES}
    elif name == "regularisers":
        yield {"result": REGULARISED}


def _posed(configuration: dict) -> dict:
    """Return the schema of accuracies in poses, one for each of the configuration's."""
    return {
        "accuracy_percent": {pose: [PERCENT] * len(configuration[pose]) for pose in _POSES},
        "trained_range": {pose: [NUMBER, NUMBER] for pose in _POSES},
        "one_pixel": dict.fromkeys(("class_stays_of_8", "outputs_stay_of_8"), Number(0, 8)),
    }
