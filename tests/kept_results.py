"""Results as trainings would have written them, and folders of such."""

from stn_ref.lab.results import store


def made(cell, error=None, seed=0, *, experiment="table1", scale="small", data="mnist", result=None, **configuration):
    """A result: `configuration` and `result` are put over what a training of Table 1 has."""
    known = {"epochs": 12, "batch_size": 64, "optimiser": "adam", "lr": 0.004, "schedule": "cosine", "warmup": 300}
    known |= {"n_train": 55_000, "n_val": 5_000, "seed": seed, "data_crc32": 100 + seed} | configuration
    return {
        "experiment": experiment, "scale": scale, "cell": cell, "seed": seed, "data": data, "configuration": known,
        "result": {"test_error_percent": error, "n_test": 10_000, "training_seconds": 1_800.0} | (result or {}),
        "history": [{"epoch": k + 1} for k in range(known["epochs"])],
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
