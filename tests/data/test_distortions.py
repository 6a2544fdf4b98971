import numpy as np
import pytest
from numpy.testing import assert_allclose

from stn_ref.checks import ShapeError
from stn_ref.data import distortions
from stn_ref.data.deform import CORNERS, homography
from stn_ref.data.distortions import KINDS, apply_pose, distort, draw_pose, source_points, upright_points
from stn_ref.sampler import sample

RANDOM = np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32)


def blob():
    """Return (1, 1, 28, 28): a round spot of ink in the middle, a little wider than a digit's stroke."""
    x = np.arange(28) - 13.5
    return np.exp(-(x**2 + x[:, None] ** 2) / 18).astype(np.float32)[None, None]


def posed(n, kind, **fields):
    """Return poses of a kind with some fields set by hand."""
    pose = draw_pose(n, kind, np.random.default_rng(0))
    for name, value in fields.items():
        pose[name] = value
    return pose


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2])
def test_quarter_turns_are_counterclockwise_like_rot90(quarters):
    V = apply_pose(RANDOM, posed(3, "R", angle=90.0 * quarters), "R", backend="vectorised")
    assert_allclose(V, np.rot90(RANDOM, quarters, axes=(2, 3)), atol=1e-5)  # points are float32: 1e-6 px off
    assert_allclose(V[..., 1:-1, 1:-1], np.rot90(RANDOM, quarters, axes=(2, 3))[..., 1:-1, 1:-1], atol=5e-6)


def test_a_whole_pixel_shift_moves_the_grey_levels_unchanged():
    V = apply_pose(RANDOM, posed(3, "RTS", angle=0, scale=1, centre=(15.5, 20.5)), "RTS", backend="vectorised")
    expected = np.zeros((3, 1, 42, 42), np.float32)
    expected[:, :, 7:35, 2:30] = RANDOM
    assert np.array_equal(V, expected)


def test_a_scale_of_two_spreads_one_pixel_over_four_by_four():
    U = np.zeros((1, 1, 28, 28), np.float32)
    U[0, 0, 14, 14] = 1  # its edges, 13.5 and 14.5, are 0 and 1 from the middle, so 0 and 2 from the centre 20.5
    V = apply_pose(U, posed(1, "RTS", angle=0, scale=2, centre=(20.5, 20.5)), "RTS", backend="vectorised")
    hat = [0.25, 0.75, 0.75, 0.25]  # canvas pixels 20..23 look at 13.25, 13.75, 14.25, 14.75
    assert_allclose(V[0, 0, 20:24, 20:24], np.outer(hat, hat), atol=1e-6)
    assert V.sum() == pytest.approx(4)


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_the_ink_lies_where_and_as_large_as_the_pose_says(kind):
    U = np.repeat(blob(), 50, axis=0)
    V, pose = distort(U, kind, np.random.default_rng(1), backend="vectorised")
    at = np.arange(KINDS[kind].canvas)
    mass = V.sum(axis=(1, 2, 3))
    x, y = V.sum(axis=(1, 2)) @ at / mass, V.sum(axis=(1, 3)) @ at / mass
    assert_allclose(np.stack([x, y], axis=1), pose["centre"], atol=0.02)  # the spot is cut off at 1e-5 of its height
    assert_allclose(mass / U[0].sum(), pose["scale"] ** 2, rtol=0.01)


def test_the_angle_is_the_one_the_pose_says():
    U = np.zeros((40, 1, 28, 28), np.float32)
    U[:, 0, 13:15, 4:24] = 1  # a level bar
    V, pose = distort(U, "RTS", np.random.default_rng(2), backend="vectorised")
    x = np.arange(42) - pose["centre"][:, :1]
    y = np.arange(42) - pose["centre"][:, 1:]
    xx, yy = np.einsum("nij,nj,nj->n", V[:, 0], x, x), np.einsum("nij,ni,ni->n", V[:, 0], y, y)
    xy = np.einsum("nij,ni,nj->n", V[:, 0], y, x)
    angle = np.rad2deg(0.5 * np.arctan2(-2 * xy, xx - yy))  # of the long axis; y points down
    assert_allclose(angle, pose["angle"], atol=1)  # a bar 1.4 px thick is sampled coarsely


@pytest.mark.parametrize("kind", KINDS)
def test_poses_stay_in_their_ranges_and_fill_them(kind):
    rule, pose = KINDS[kind], draw_pose(4000, kind, np.random.default_rng(3))
    for field in ("angle", "scale"):
        low, high = getattr(rule, field)
        assert pose[field].min() >= low and pose[field].max() <= high
        assert np.ptp(pose[field]) >= 0.98 * (high - low)
        assert pose[field].mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low) + 1e-9)
    half = 14 * pose["scale"][:, None]
    assert (pose["centre"] - half >= -0.5 - 1e-9).all()  # the digit's image lies inside the canvas
    assert (pose["centre"] + half <= rule.canvas - 0.5 + 1e-9).all()
    if not rule.anywhere:
        assert (pose["centre"] == (rule.canvas - 1) / 2).all()
    for field, deviation in (("corners", rule.corners), ("bend", rule.bend)):
        assert pose[field].std() == pytest.approx(deviation, rel=0.02)


def test_table_1_has_the_canvases_28_42_and_60():
    images = np.repeat(blob(), 2, axis=0)
    for kind, size in (("none", 28), ("R", 28), ("RTS", 42), ("P", 42), ("E", 28), ("TC", 60)):
        V, pose = distort(images, kind, np.random.default_rng(0), backend="vectorised")
        assert V.shape == (2, 1, size, size) and V.dtype == np.float32 and pose.shape == (2,)
        assert V.min() >= 0 and V.max() <= 1


@pytest.mark.parametrize(("kind", "count"), [("TC", 6), ("TC16", 16)])
def test_clutter_is_patches_of_six_by_six_from_other_images(kind, count):
    U = np.ones((30, 1, 28, 28), np.float32)
    U[0] = 0  # an empty digit: all that its canvas shows is clutter
    for seed in range(20):
        V, pose = distort(U, kind, np.random.default_rng(seed), backend="vectorised")
        expected = np.zeros((60, 60), np.float32)
        for x, y in pose["patch_place"][0, :count]:
            expected[y : y + 6, x : x + 6] = 1
        assert np.array_equal(V[0, 0], expected)
        assert (pose["patch_image"][:, :count] != np.arange(30)[:, None]).all()
        for field in ("patch_image", "patch_cut", "patch_place"):
            assert (pose[field][:, :count] >= 0).all() and (pose[field][:, count:] == -1).all()


def test_a_cluttered_canvas_is_the_digit_and_its_patches_copied():
    V, pose = distort(RANDOM, "TC", np.random.default_rng(5), backend="vectorised")
    expected = np.zeros((3, 60, 60), np.float32)
    for n in range(3):
        x, y = (pose["centre"][n] - 13.5).astype(int)
        expected[n, y : y + 28, x : x + 28] = RANDOM[n, 0]
        patches = zip(*(pose[f"patch_{f}"][n, :6] for f in ("image", "cut", "place")), strict=True)
        for other, (u, v), (x, y) in patches:
            there = expected[n, y : y + 6, x : x + 6]
            np.maximum(there, RANDOM[other, 0, v : v + 6, u : u + 6], out=there)
    assert np.array_equal(V[:, 0], expected)


def test_a_single_image_can_be_cluttered():
    assert distort(blob(), "TC", np.random.default_rng(0), backend="vectorised").images.max() == blob().max()


def test_the_upright_points_undo_the_distortion():
    pose = draw_pose(5, "RTS", np.random.default_rng(6))
    U = np.repeat(blob(), 5, axis=0)
    canvas = apply_pose(U, pose, "RTS", backend="vectorised")
    assert_allclose(sample(canvas, upright_points(pose), backend="vectorised"), U, atol=0.08)  # blurred twice


def test_the_homography_of_p_takes_the_moved_corners_back():
    corners = CORNERS + draw_pose(200, "P", np.random.default_rng(8))["corners"] / 21
    H = np.concatenate([homography(corners), np.ones((200, 1))], axis=1).reshape(-1, 3, 3)
    X, Y, w = np.einsum("nij,nkj->ink", H, np.concatenate([corners, np.ones((200, 4, 1))], axis=2))
    assert_allclose(np.stack([X / w, Y / w], axis=-1), np.tile(CORNERS, (200, 1, 1)), atol=1e-8)
    assert (w > 0).all()  # all four are before the camera


def test_a_corner_that_folds_the_canvas_is_drawn_again():
    at = CORNERS * 21 + draw_pose(20_000, "P", np.random.default_rng(9))["corners"]
    before, after = np.roll(at, 1, axis=1) - at, np.roll(at, -1, axis=1) - at
    assert (after[..., 0] * before[..., 1] - after[..., 1] * before[..., 0] > 0).all()  # convex, and not turned over
    x, y = at[..., 0], at[..., 1]
    assert (x * np.roll(y, -1, axis=1) > y * np.roll(x, -1, axis=1)).all()  # the middle lies inside


@pytest.mark.parametrize(("kind", "field", "there"), [("P", "corners", 1), ("E", "bend", -1)])
def test_corners_move_where_the_ink_goes_and_control_points_where_it_comes_from(kind, field, there):
    shift = np.array([3.0, -2.0])
    V = apply_pose(RANDOM, posed(3, kind, scale=1, **{field: shift}), kind, backend="vectorised")
    expected = apply_pose(RANDOM, posed(3, kind, scale=1, **{field: 0}), kind, backend="vectorised")
    x, y = (there * shift).astype(int)
    inner = slice(5, -5)
    assert_allclose(V[..., inner, inner], np.roll(expected, (y, x), axis=(2, 3))[..., inner, inner], atol=1e-5)


def test_p_gives_zero_behind_the_camera():
    corners = np.array([(9.0, 9.0), (-9.0, 9.0), (-3.0, -3.0), (3.0, -3.0)])  # far narrower at its upper side
    pose = posed(3, "P", scale=1, corners=corners)
    with np.errstate(all="raise"):
        V = apply_pose(RANDOM, pose, "P", backend="vectorised")
    assert np.isfinite(V).all() and (V[:, :, 0] == 0).all() and V.max() > 0


@pytest.mark.parametrize("kind", ["P", "E"])
def test_upright_points_without_an_inverse_are_an_error(kind):
    with pytest.raises(ValueError, match="pose must not be of P or E"):
        upright_points(draw_pose(2, kind, np.random.default_rng(0)))


def test_the_two_maps_are_each_others_inverse():
    pose = draw_pose(4, "RTS", np.random.default_rng(7))
    there = upright_points(pose)[:, 3, 20]  # the canvas point that shows the digit's pixel x=20, y=3
    moved = pose.copy()
    moved["centre"] -= there  # so that this point becomes canvas pixel (0, 0)
    assert_allclose(source_points(moved, 1)[:, 0, 0], np.tile([20, 3], (4, 1)), atol=1e-5)


@pytest.mark.parametrize("kind", ["R", "RTS", "P", "E", "TC"])
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(kind):
    first, again, other = (distort(RANDOM, kind, np.random.default_rng(s), backend="vectorised") for s in (1, 1, 2))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.pose, again.pose)
    assert not np.array_equal(first.images, other.images)


def test_the_input_is_left_alone():
    before = RANDOM.copy()
    for kind in KINDS:
        distort(RANDOM, kind, np.random.default_rng(0), backend="vectorised").images[...] = 0
    assert np.array_equal(RANDOM, before)


def test_no_images_give_no_images():
    for kind in KINDS:
        assert len(distort(RANDOM[:0], kind, np.random.default_rng(0), backend="vectorised").images) == 0


def test_wrong_arguments_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="kind must be one of 'none', 'R', 'RTS', 'P', 'E', 'TC', 'TC16'; got 'X'"):
        distort(RANDOM, "X", rng)
    with pytest.raises(TypeError, match="images must be float32; got float64"):
        distort(RANDOM.astype(float), "R", rng)
    with pytest.raises(TypeError, match="images must be a float32 or float64 NumPy array; got a NumPy array of uint8"):
        distort(RANDOM.astype(np.uint8), "R", rng)
    with pytest.raises(ShapeError, match=r"images must be \(N, 1, 28, 28\)"):
        distort(RANDOM[:, 0], "R", rng)
    with pytest.raises(TypeError, match="rng must be"):
        distort(RANDOM, "R", 0)
    with pytest.raises(ShapeError, match=r"pose must be \(N,\): axis 0 is 2, expected N=3 from images"):
        apply_pose(RANDOM, draw_pose(2, "R", rng), "R")


def test_a_wrong_rotation_is_detected(monkeypatch):
    right = source_points
    monkeypatch.setattr(distortions, "source_points", lambda pose, canvas: right(pose, canvas)[..., ::-1].copy())
    V = apply_pose(RANDOM, posed(3, "R", angle=90.0), "R", backend="vectorised")
    assert np.abs(V - np.rot90(RANDOM, axes=(2, 3))).max() > 0.5
