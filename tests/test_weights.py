"""Files of weights: what is read is what was written, and a file of another net changes nothing."""

import io

import numpy as np
import pytest

from stn_ref import checks, models


def net(seed, name="fcn", size=28):
    return models.build(name, size, np.random.default_rng(seed))


def values(net):
    return {name: param.value.copy() for name, param in net.named_params()}


def npy():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def test_a_net_gets_the_weights_of_the_file(tmp_path):
    path, wanted, other = tmp_path / "w.npz", net(0), net(1)
    np.savez_compressed(path, **values(wanted))
    assert models.load_weights(other, path) is other
    for name, value in values(wanted).items():
        np.testing.assert_array_equal(dict(other.named_params())[name].value, value)


def test_errors_name_the_file_and_the_fault_and_change_nothing(tmp_path):
    path, mine = tmp_path / "w.npz", net(0)
    before = values(mine)
    first = next(iter(before))

    def written(arrays):
        np.savez(path, **arrays)

    def shortened(count):
        written(before)
        path.write_bytes(path.read_bytes()[:count])

    cases = [
        (lambda: None, FileNotFoundError, "w.npz: no such file"),
        (lambda: path.write_bytes(b""), checks.DamagedFileError, "w.npz is damaged"),
        (lambda: path.write_bytes(b"PK\x03\x04" + b"x" * 100), checks.DamagedFileError, "w.npz is damaged"),
        (lambda: path.write_bytes(npy()), checks.DamagedFileError, "w.npz is damaged"),
        (lambda: shortened(1000), checks.DamagedFileError, "w.npz is damaged"),
        (lambda: written(values(net(0, size=42))), checks.DamagedFileError, f"{first} must be float32"),
        (lambda: written({**before, first: before[first].astype(float)}), checks.DamagedFileError, "got float64"),
        (lambda: written({**before, "more": np.zeros(1)}), checks.DamagedFileError, "more must be nothing"),
        (lambda: written({k: v for k, v in before.items() if k != first}), checks.DamagedFileError, "got nothing"),
        (lambda: np.savez(path, **{first: np.array([None])}), checks.DamagedFileError, "w.npz is damaged"),
    ]
    for make, kind, message in cases:
        make()
        with pytest.raises(kind, match=message):
            models.load_weights(mine, path)
        for name, value in values(mine).items():
            np.testing.assert_array_equal(value, before[name])
