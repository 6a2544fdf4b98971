"""Results as trainings would have written them, and folders of such."""

from stn_ref.lab.results import store

_PASSES, _POSES = ("forward", "backward", "step"), ("shift", "rotation", "scale")
CONFIGURATIONS = {
    "pooling": {"n_posed": 5_000, "n_one_pixel": 1_000, **{key: [0] for key in _POSES}},
    "cifar10": {"watched": "validation"},
}
RESULTS = {  # what the tables and figures of an experiment read besides the test error
    "counts": {"quoted": 3, "of_8": {}},
    "pooling": {
        "accuracy_percent": {key: [50] for key in _POSES},
        "trained_range": {key: [0, 1] for key in _POSES},
        "one_pixel": {"class_stays_of_8": 7, "outputs_stay_of_8": 1},
    },
    "overhead": {
        "threads": 1,
        **{key: {key: [2, 1, 3] for key in _PASSES} for key in ("share_percent", "slower_percent")},
        **dict.fromkeys(("multiplications_share_percent", "multiplications_more_percent"), dict.fromkeys(_PASSES, 2)),
    },
    "cifar10": {"test_accuracy_percent": 50},
}


def made(cell, error=None, seed=0, *, experiment="table1", scale="small", data="mnist", result=None, **configuration):
    """A result: `configuration` and `result` are put over what a training of Table 1 has."""
    known = {"epochs": 12, "batch_size": 64, "optimiser": "adam", "lr": 0.004, "schedule": "cosine", "warmup": 300}
    known |= {"n_train": 55_000, "n_val": 5_000, "seed": seed, "data_crc32": 100 + seed}
    known |= CONFIGURATIONS.get(experiment, {}) | configuration
    more = RESULTS.get("counts" if cell.startswith("counts/") else experiment, {}) | (result or {})
    return {
        "experiment": experiment, "scale": scale, "cell": cell, "seed": seed, "data": data, "configuration": known,
        "result": {"test_error_percent": error, "n_test": 10_000, "training_seconds": 1_800.0} | more,
        "history": [{"epoch": k + 1, "val_accuracy": 0.5, "test_accuracy": 0.5} for k in range(known["epochs"])],
        "versions": {"stn_ref": "0.1.0", "numpy": "2.4.0"}, "machine": "a CPU, 2 cores", "date": "2026-01-02 03:04 UTC",
        "seconds": 900.0,
    }  # fmt: skip


def name_of(result):
    parts = [result[key] for key in ("experiment", "scale", "data", "cell")]
    return f"{store.file_name(*parts, 'seed')}{result['seed']}.json"


def keep(folder, *found):
    """Write results into a folder under their names, and return it."""
    for result in found:
        store.write(folder / name_of(result), result)
    return folder
