"""The faults that mutants.py puts in, of the kind that people make; each text must stand in its file exactly once."""

from typing import NamedTuple


class Fault(NamedTuple):
    """One fault.

    Attributes:
        file: in stn_ref/.
        what: it is, in a few words.
        old: the right text.
        new: the wrong one.
        first: the file of tests to begin with, where it is not the one that is first for this file.
    """

    file: str
    what: str
    old: str
    new: str
    first: str = ""


def _of(file: str, *faults: tuple[str, str, str], first: str = "") -> list[Fault]:
    return [Fault(file, *fault, first) for fault in faults]


TRANSFORMS = [
    *_of(
        "transforms/base.py",
        ("the gradient of T = xy + d without that of xy", "gxy = gxy + gT\n", "gxy = gxy + 0\n"),
        ("shared landmarks get the mean over samples for the sum", "gxy.sum(0, keepdims", "gxy.mean(0, keepdims"),
        ("the gradient of T given for that of d, without - 1", "D = self.less_identity(", "D = self.rows("),
        ("gs of a rigid map kept and the last column dropped", "gradient[len(self.fixed) :]", "gradient[: self.K]"),
    ),
    *_of(
        "transforms/translation.py",
        ("t_x and t_y swapped in the gradient", "sums.T13, sums.T23", "sums.T23, sums.T13"),
    ),
    *_of(
        "transforms/attention.py",
        ("gs forgets y", "return sums.stretch", "return sums.T11"),
        ("a fixed scale used as 1", "(self.scale,), self", "(1.0,), self"),
    ),
    *_of(
        "transforms/similarity.py",
        ("rotates the other way in one row", "(p, -q / r, t_x)", "(p, q / r, t_x)"),
        ("aspect the wrong way round", "(q * r, p, t_y)", "(q / r, p, t_y)"),
        ("galpha without s", "s * (cos * gq - sin * gp)", "cos * gq - sin * gp"),
        ("cos(alpha) - 1 cancels", "(s - 1) - 2 * s * np.sin(alpha / 2) ** 2", "s * np.cos(alpha) - 1"),
    ),
    *_of(
        "transforms/affine.py",
        ("theta read column by column", "t11, t12, t13, t21, t22, t23)", "t11, t21, t12, t22, t13, t23)"),
    ),
    *_of(
        "transforms/projective.py",
        ("two columns of h swapped", "(self, h11, h12, h13, ", "(self, h12, h11, h13, "),
    ),
    *_of(
        "kernels/vectorised_grid.py",
        ("at infinity only where both coordinates are", "np.isinf(d_x) | np.isinf(d_y", "np.isinf(d_x) & np.isinf(d_y"),
        ("the matrix is not transposed", "[row[axis] for row in D]", "[*D[axis][: len(D)]]"),
        ("a rotation turns one coordinate only", "gY * (aspect * x) - gX * (y / aspect)", "gY * (aspect * x)"),
        ("gw of the displacement, not of the point", "gX * (x + d[..., 0])", "gX * d[..., 0]"),
        ("gw with the wrong sign", "gw = -(gX * (x", "gw = (gX * (x"),
        ("the gradient of the points without w", "(gX, gY, gw) if len(D) == 3 else (gX, gY)", "(gX, gY)"),
        ("points behind the camera are seen", "unseen = w <= HORIZON", "unseen = np.abs(w) <= HORIZON"),
        ("a term that is not divided by w", "d[..., axis] -= e * coordinate", "d[..., axis] -= e * coordinate * w"),
        ("terms that are 0 are multiplied", "isinstance(c, (int, float)) or c != 0", "isinstance(c, str)"),
        ("infinity in an image of one pixel lost from displacements", "if factor == 0:", "if factor < 0:"),
    ),
    *_of(
        "kernels/scalar_math.py",
        ("gw of the displacement, not of the point, in the grid", "gX * (x + d_x)", "gX * d_x"),
        ("gw with the wrong sign in the grid", "none if lost else -(gX", "none if lost else (gX"),
        ("a lost point has a gradient in the grid", "none if lost else gd_x / w", "gd_x / w"),
        ("points behind the camera are seen in the grid", "unseen = e + one <= ", "unseen = abs(e + one) <= "),
        ("the horizon in another place", "HORIZON = 1e-6", "HORIZON = 1e-3"),
        ("a term that is not divided by w in the grid", "(X - e * x) / w", "X / w - e * x"),
        ("infinity in an image of one pixel lost from the grid", "d if factor == 0 and abs(d) == math.inf else ", ""),
        first="test_grid_kernels.py",
    ),
    *_of(
        "kernels/cpu/grid.py",
        ("x and y swapped in the chain factor", "y.target, x.factor, y.factor", "y.target, y.factor, x.factor"),
        ("a block goes on in the row that it left", "k + n, i + 1, 0", "k + n, i, 0"),
        ("the halves of a sum not added", "found[waiting - 1, k] += ", "found[waiting - 1, k] = "),
    ),
    *_of(
        "kernels/cpu/pairwise.py",
        ("eight totals added in another order", "((a + b) + (c + d))", "((a + c) + (b + d))"),
        ("halves that no vector fits", "count // 2 - count // 2 % 8", "count // 2"),
    ),
    *_of(
        "transforms/composition.py",
        ("outer applied to target points", ".displacement(theta_outer, between", ".displacement(theta_outer, xy"),
        (
            "parameters of inner first",
            "theta[:, : self.outer.K], theta[:, self.outer.K :]",
            "theta[:, self.inner.K :], theta[:, : self.inner.K]",
        ),
        ("inner gets only what comes through outer", "xy, gd + gbetween, needs)", "xy, gbetween, needs)"),
        ("outer's gradient of the points forgotten", "gxy + gbetween if", "gxy if"),
        ("the product in the other order", '"bij,bjk->bik", outer, inner', '"bij,bjk->bik", inner, outer'),
        ("what inner lost comes back", "return between, replaced(d, lost, np.inf)", "return between, d"),
        ("a lost point still has a gradient", "gd = replaced(gd, at_infinity(d), 0)", "gd = gd"),
    ),
    *_of(
        "transforms/tps.py",
        (
            "the gradient of r^2 log r for a map of r^2 log r^2",
            "return 2 * (np.log(np.maximum(r2, TINY)) + 1)",
            "return np.log(np.maximum(r2, TINY)) + 1",
        ),
        ("0 log 0 at the control points", "r2 * np.log(np.maximum(r2, TINY))", "r2 * np.log(r2)"),
        ("regularisation with the wrong sign", "stiff = e + self.reg", "stiff = e - self.reg"),
        ("energy counts the regularisation", "np.sqrt(e) / stiff", "1 / np.sqrt(stiff)"),
        ("8 pi, the factor of r^2 log r", "return 16 * math.pi * (bend", "return 8 * math.pi * (bend"),
        ("the energy's gradient without the 2 of a square", "return 32 * math.pi", "return 16 * math.pi"),
        ("the affine part is not transposed", "gd @ A[:, :2].swapaxes(1, 2)", "gd @ A[:, :2]"),
        ("control points column after column", ".tile(x, rows), np.repeat(y, ", ".repeat(x, rows), np.tile(y, "),
        ("a kept basis serves other points", "np.array_equal(kept_xy, xy)", "kept_xy.shape == xy.shape"),
        ("points at infinity are not held", "B[far] = 0\n", "\n"),
        ("far control points are not moved to 0", "if near else low + (high - low) / 2", "if near else 0 * low"),
        ("the regularisation has no unit", "self.regularisation / self._unit**2", "self.regularisation"),
        ("the energy has no unit", ".T / self._unit\n", ".T\n"),
        ("the affine part is that of the scaled points", "A[:, :, :2] /= self._unit\n", "\n"),
        (
            "identity as the spline of theta, not of theta - c",
            "d = self._basis(xy) @ self._moved(theta)",
            "d = self._basis(xy) @ theta.reshape(len(theta), -1, 2) - xy.reshape(len(xy), -1, 2)",
        ),
    ),
]

GRIDS = [
    *_of(
        "coordinates.py",
        ("edges of pixels for centres", "np.arange(1 - size, size, 2)", "np.arange(-size, size, 2)"),
        ("align_corners in one of two places", "max(1, _span(size, align_corners))", "max(1, _span(size, False))"),
        (
            "x and y of the target grid swapped",
            "G[..., 0] = target_axis(Wo, align_corners, dtype)\n    G[..., 1] = target_axis(Ho",
            "G[..., 1] = target_axis(Wo, align_corners, dtype)\n    G[..., 0] = target_axis(Ho",
        ),
        ("H and W swapped in the chain factor", "(H, W), after = in_size", "(W, H), after = in_size"),
        ("chain factor without 1/2", "_span(W, align_corners) / 2, after", "_span(W, align_corners), after"),
        ("half a pixel in the other convention", "(0 if align_corners else -0.5)", "(-0.5 if align_corners else 0)"),
        ("the displacement in pixels of the output", "/ 2, S / 2, (", "/ 2, D / 2, ("),
        ("the start in pixels of the output", "dtype.type(S / D) * _odd(out_size[k], dtype", "_odd(out_size[k], dtype"),
        (
            "the exact identity replaced by to_pixels(G + d)",
            "(S / D) * _odd(out_size[k], dtype) / 2",
            "(S / 2) * target",
        ),
        ("aspect upside down", "(W, align_corners)) / max(1, _span(H", "(H, align_corners)) / max(1, _span(W"),
    ),
    *_of(
        "grid.py",
        ("the target grid of the input's size", "axes(out_size, in_size, ", "axes(in_size, in_size, "),
        ("align_corners forgotten in the gradient", "align_corners), ggrid", "align_corners) and False, ggrid"),
        (
            "Ho and Wo swapped",
            '((Ho, Wo), None, checks.flag("align_corners", align_corners), theta',
            '((Wo, Ho), None, checks.flag("align_corners", align_corners), theta',
        ),
    ),
]

SAMPLERS = [
    *_of(
        "sampler.py",
        (
            "the two reflections swapped",
            '"mirror" if align_corners else "reflect"',
            '"reflect" if align_corners else "mirror"',
        ),
        ("a = -0.5 for -0.75", 'cpu",\n    a: float = -0.75,\n    ties', 'cpu",\n    a: float = -0.5,\n    ties'),
        (
            "a = -0.5 for -0.75 in the gradient only",
            'a: float = -0.75,\n    ties: str = "even",\n) -> tuple',
            'a: float = -0.5,\n    ties: str = "even",\n) -> tuple',
        ),
        (
            "align_corners=False in the backward",
            "align_corners, U.dtype)\n    return kernels.get(backend).sample_backward",
            "False, U.dtype)\n    return kernels.get(backend).sample_backward",
        ),
        (
            "align_corners=False in the forward",
            "align_corners, U.dtype)\n    return kernels.get(backend).sample_forward",
            "False, U.dtype)\n    return kernels.get(backend).sample_forward",
        ),
        ("kink not passed on by the function", "padding, kink, a, (True", 'padding, "right", a, (True'),
        ("kink not passed on by the layer", "self.kink, self.a, needs, ties", '"right", self.a, needs, ties'),
        ("a not passed on by the layer", "self.kink, self.a, needs, ties", "self.kink, -0.75, needs, ties"),
        ("needs flags swapped", "self.kink, self.a, needs, ties", "self.kink, self.a, needs[::-1], ties"),
        ("ties not passed on by the layer", "needs, ties=self.ties)", "needs)"),
        ("ties not passed on by the function", "padding, a, unit, ties)", "padding, a, unit)"),
        ("an empty image is not refused", '    checks.not_empty("U", U, ("N", "C", "H", "W"), "H", "W")\n', ""),
        ("the cotangent is not checked", 'check_cotangent(U, points, gV, "points", backend)\n    needs', "needs"),
    ),
    *_of(
        "kernel_sampler.py",
        ("central difference without 1/2", "(p[2:] - p[:-2]) / 2", "p[2:] - p[:-2]"),
        ("a sign at the last point", "gp[-2] -= gd[-1]", "gp[-2] += gd[-1]"),
        ("the maximum's flat side has a slope", "np.where((s > 1) & np.", "np.where(np."),
        ("|di| + |dj| for the norm", "np.hypot(_difference(points, 1), ", "abs(_difference(points, 1)) + abs("),
        ("gphi not summed over samples, averaged", "gphi = gphi.sum(axis", "gphi = gphi.mean(axis"),
        ("gphi of the layer averaged over samples", "add(gphi.sum(axis", "add(gphi.mean(axis"),
        ("the way through the width forgotten", "gpoints + footprint_backward(points, gs) if", "gpoints if"),
        (
            "gphi overwrites what was there",
            "self.phi.add(gphi.sum(axis=(0, 1, 2)))",
            "self.phi.grad[...] = gphi.sum(axis=(0, 1, 2))",
        ),
        ("a neighbour at infinity is not left out", "d[~np.isfinite(d)] = 0", "d[np.isnan(d)] = 0"),
        (
            "axes of the footprint swapped in the gradient",
            "_difference_backward(g * di, 1) + _difference_backward(g * dj, 2)",
            "_difference_backward(g * di, 2) + _difference_backward(g * dj, 1)",
        ),
    ),
    *_of(
        "second_order.py",
        ("the tangent in pixels, not normalised", "kink, a, unit, ties)\n\n\ndef", "kink, a, None, ties)\n\n\ndef"),
        ("hU and hgrid not passed on", "gV, hU, hgrid, mode", "gV, hU, 0 * hgrid, mode"),
    ),
    *_of(
        "transformer.py",
        ("a loss on theta replaces the grid's gradient", "else added(gtheta_grid, gtheta)", "else gtheta"),
        ("the path through theta forgotten", "return added(gU, gU_localisation) if", "return gU if"),
        ("the input's size not passed to the grid", "grid.forward(theta,", "grid.forward(theta, self.grid.out_size or"),
        ("kink not passed on", "padding=padding, kink=kink, a=a, ties", "padding=padding, a=a, ties"),
        ("a not passed on", "padding=padding, kink=kink, a=a, ties", "padding=padding, kink=kink, ties"),
        ("ties not passed on", "a=a, ties=ties, backend=backend)", "a=a, backend=backend)"),
        ("align_corners of the padding only", ", out_size, align_corners=align_corners", ", out_size"),
    ),
]

KERNELS = [
    *_of(
        "kernels/scalar_math.py",
        ("the fold's slope missing on the right", "x, slope = n + n - one - x, -", "x, slope = n + n - one - x, "),
        ("infinity times 0 in an image of one pixel", "x if abs(x) == math.inf else (x + before)", "(x + before)"),
        ("1 added after the scale", "(x + before) * scale + after", "x * scale + before + after"),
        ("reflects about 0 for -1/2", "x, slope = -one - x, -one", "x, slope = -x, -one"),
        ("< for <= at the first pixel", "if x <= 0:", "if x < 0:"),
        ("> for >= at the last pixel", "if x >= last:\n", "if x > last:\n"),
        ("the mirror's slope missing on the left", "slope = one if x > 0 else -one", "slope = one"),
        ("ceil for floor", "m = floor(x)", "m = math.ceil(x) - 1"),
        ("a cast for floor", "m = floor(x)", "m = int(x)"),
        ("clamped within reach of the image", "(x, type(x)(-2)), type(x)(size + 1", "(x, type(x)(-1)), type(x)(size"),
        ("a NaN coordinate is not looked for", "    if x != x:\n        return -2, x\n", ""),
        ("the pixel before the cell counts at a kink", "if m - 1 <= x < m:", "if m - 1 <= x <= m:"),
        ("left derivative at one end only", "if m - 1 < x <= m:", "if m - 1 <= x <= m:"),
        ("Eq. (7) with > for >=", "    if m >= x:\n", "    if m > x:\n"),
        ("rounds half up", "(ties == UP or m & 1)", "True"),
        ("halves to even whatever ties says", "(ties == UP or m & 1)", "m & 1"),
        ("clamped before the last column is out of reach", "type(x)(size + margin)\n", "type(x)(size + margin - 2)\n"),
        ("reflected about the outer centres", "else 2 * size - 1 - m", "else 2 * size - 2 - m"),
        ("a mirror's period one too long", "m %= 2 * (size - 1)", "m %= 2 * size - 1"),
        ("Keys' polynomial with a sign", "(1 - d) * (1 + d - (a + 2)", "(1 - d) * (1 - d - (a + 2)"),
        ("the cubic's slope is not odd", "sign = 1.0 if d > 0 else -1.0", "sign = 1.0"),
        ("the derivative of d^2 without 2", "- 2 * (a + 3))", "- (a + 3))"),
    ),
    *_of(
        "kernels/scalar_math.py",
        ("<= for < at the least width", "    if phi < least:", "    if phi <= least:"),
        ("a width beyond the image still has a slope", " max(float(size), least), 0.", " max(float(size), least), 1."),
        ("a slope where the tent has ended", "slope = 0.0 if d >= w else", "slope = 0.0 if d > w else"),
        ("dk/dsigma without 1/sigma", "z * z / sigma * k", "z * z * k"),
        first="test_widths.py",
    ),
    *_of(
        "kernels/literal.py",
        ("gU overwrites what was there", "gU[b, :, n, m] += g", "gU[b, :, n, m] = g"),
        ("chain factor forgotten", "gpoints[b, i, j] *= unit[1], unit[3]", "pass"),
        ("x's padding slope used in y", "y.dk, x.k, y.slope)", "y.dk, x.k, x.slope)"),
    ),
    *_of(
        "kernels/scalar_math.py",
        ("an inner curvature without 2", "6 * (a + 2) * d - 2 * (a + 3)", "6 * (a + 2) * d - (a + 3)"),
        ("an outer curvature of another root", "a * (6 * d - 10)", "a * (6 * d - 8)"),
        first="test_second_order.py",
    ),
    *_of(
        "kernels/literal_second.py",
        ("the padding's slope forgotten in dx", "axis.slope * (h * scale)", "h * scale"),
        ("the chain factor forgotten in dx", "axis.slope * (h * scale)", "axis.slope * h"),
        ("a point that does not move multiplies pixels", " for m, k in weights if dx != 0]", " for m, k in weights]"),
        ("the curvature of the right cell whatever kink says", 'SIDES[kink if t == 0 else "right"]', 'SIDES["right"]'),
        ("gU2 overwrites what was there", "gU2[b, :, n, m] += g", "gU2[b, :, n, m] = g"),
        ("d_xy forgotten", "(u, y.k, x.bent), (u, y.moved, x.dk))", "(u, y.k, x.bent))"),
        ("d_xx forgotten", "(h, y.k, x.dk), (u, y.k, x.bent), (u", "(h, y.k, x.dk), (u"),
    ),
    *_of(
        "kernels/vectorised_second.py",
        ("left at every point", '"left": ((on, 1.0),)', '"left": ((1, 1.0),)'),
        (
            "a flat padding times an infinite tangent",
            "np.where(axis.slope == 0, 0, axis.slope * (h * scale))",
            "axis.slope * (h * scale)",
        ),
        ("gU2 without the move in y", "((y.k, x.moved), (y.moved, x.k))", "((y.k, x.moved),)"),
        ("the chain factor of y for x", "* unit[1]\n", "* unit[3]\n"),
    ),
    *_of(
        "kernels/cpu/second.py",
        ("half of each side at every kink", "if kink == CENTRAL else", "if kink != 0 else"),
        ("d_yx for d_xy", "(K, BENT), (MOVED, DK)),", "(K, BENT), (DK, MOVED)),"),
        ("a channel's gradient in the first", "gu[i, c] += g[c] * w", "gu[i, c] += g[0] * w"),
        ("NaN in y does not reach x", "return x + y, x + y", "return x, y"),
        (
            "the second tap of a row taken for the first",
            "places[r, lengths[r]] = ty[in_y, j] * W + tx",
            "places[r, lengths[r]] = ty[in_y, 0] * W + tx",
        ),
    ),
    *_of(
        "kernels/literal.py",
        ("the quotient rule without its second term", "(di - ki / K * dK) / K", "di / K"),
        ("the normalisation by pixels inside only", "t - i, w) ", "t - i, w) if 0 <= place + i < size else (0, 0, 0) "),
        ("the padding's slope for that of the width", "x.dphi, x.phi_slope)", "x.dphi, x.slope)"),
        ("the last place of a window missing", "math.floor(t + r) + 1)", "math.floor(t + r))"),
        ("a NaN width is not looked for", " or (phi is not None and np.isnan(phi).any()):", ":"),
        first="test_widths.py",
    ),
    *_of(
        "kernels/vectorised.py",
        ("slope on the border itself", "slope[(x <= 0) | (x >= last)] = 0", "slope[(x < 0) | (x > last)] = 0"),
        ("the fold's slopes in the wrong pieces", "select(pieces, [1, -1, 1, -1], ", "select(pieces, [1, -1, 1, 1], "),
        ("a mirror without |x|", "2 * last - np.abs(r), np.abs(r))", "2 * last - np.abs(r), r)"),
        ("truncated for floor", "    m = np.floor(x)\n", "    m = np.trunc(x)\n"),
        ("half-way the odd pixel", "((m % 2 == 1) | (ties", "((m % 2 == 0) | (ties"),
        ("ties not looked at", ' | (ties == "up")', ""),
        ("weights of the wrong neighbour", "[(left, 1 - t), (right, t)], [", "[(left, t), (right, 1 - t)], ["),
        ("central without 1/2", "(before[0], -one / 2), (before[1], one / 2)]", "(before[0], -one), (before[1], one)]"),
        (
            "the left side taken off kinks, too",
            "np.where(on, inside(m - 1, size), left), np.where(on, left, right)",
            "inside(m - 1, size), left",
        ),
        ("a factor in the cubic's outer slope", "a * (d - 2) * (3 * d - 4)", "a * (d - 2) * (3 * d - 2)"),
        (
            "pixels hit twice get one gradient",
            "np.add.at(gU, (b, channels, index), g[b, channels, p] * (kx * ky)[b, p])",
            "gU[b, channels, index] += g[b, channels, p] * (kx * ky)[b, p]",
        ),
        ("gpoints as (y, x)", "(y.k, x.dk, x.slope), slope(y.dk, x.k, y.", "(y.dk, x.k, y.slope), slope(y.k, x.dk, x."),
        ("NaN not passed on to both coordinates", "np.where(broken, np.nan, total)", "total"),
        (
            "infinite pixels times a slope of 0",
            "np.where(factor == 0, 0, factor * (g * dV).sum(1))",
            "factor * (g * dV).sum(1)",
        ),
    ),
    *_of(
        "kernels/vectorised.py",
        ("> for >= at the least width", "((phi >= least) & (phi < size))", "((phi > least) & (phi < size))"),
        ("the quotient rule without the weight", "(di - ki / K * dK) / K).astype", "(di - dK) / K).astype"),
        first="test_widths.py",
    ),
    *_of(
        "kernels/cpu/blocks.py",
        ("far reflections left to the near fold", "    if far > 0:\n", "    if far < 0:\n"),
        (
            "the far ones looked for in x only",
            "if abs(x) >= limit_x or abs(y) >= limit_y else",
            "if abs(x) >= limit_x else",
        ),
        (
            "the padding's slope forgotten in y",
            "load_scratch(gx, j) * slope_x, load_scratch(gy, j) * slope_y",
            "load_scratch(gx, j) * slope_x, load_scratch(gy, j)",
        ),
        (
            "flat padding wins over NaN",
            "store(gpoints, 2 * j + 1, y * scale_y if mark == mark else mark)",
            "store(gpoints, 2 * j + 1, y * scale_y)",
        ),
        ("chain factor of x forgotten", "x * scale_x if mark", "x if mark"),
        ("H for W in the fold of y", "fold_near(y, H, padding)", "fold_near(y, W, padding)"),
        ("a single pixel read beyond", "> 1 else np.concatenate", "> 0 else np.concatenate"),
        ("gpoints of the images not wanted", "(gpoints.reshape(shape) if needs[1] else None)", "gpoints"),
    ),
    *_of(
        "kernels/cpu/bilinear.py",
        ("the first column lost", "UPPER_LEFT if zero <= m < W", "UPPER_LEFT if zero < m < W"),
        ("the row below not tested", "zero <= kind(n + 1) < H", "zero <= kind(n + 1)"),
        ("bits of the wrong row", "(row if upper else zero)", "(row if lower else zero)"),
        ("the first pixel of a plane lost", "(b if i >= 0 else a)", "b"),
        ("the last pixel of a plane lost", "(a if i <= last else b)", "a"),
        (
            "weight of the wrong neighbour in the gradient",
            "            gu[i + 1] += g * (tx * sy)\n            gu[i + W] +=",
            "            gu[i + 1] += g * (sx * ty)\n            gu[i + W] +=",
        ),
        (
            "the same at the border",
            "            if bits & UPPER_RIGHT:\n                gu[i + 1] += g * (tx * sy)",
            "            if bits & UPPER_RIGHT:\n                gu[i + 1] += g * (sx * ty)",
        ),
        ("x weights swapped in dV/dy", " sx - u01 * tx + u10 * sx + u11 * tx", " sx - u01 * tx + u10 * tx + u11 * sx"),
        ("one term of dV/dx missing", "-u00 * sy + u01 * sy - u10 * ty + u11 * ty", "-u00 * sy + u01 * sy + u11 * ty"),
        ("slopes of the block before not cleared", "            gx[:] = 0\n", ""),
        ("a block too many where blocks come out even", "(P + BLOCK - 1) // BLOCK", "P // BLOCK + 1"),
        ("NaN in y does not reach x", "            tx = tx + ty\n", ""),
        ("NaN touches a pixel", "            m = kind(-2)\n", ""),
    ),
    *_of(
        "kernels/cpu/nearest.py",
        (
            "half-way the upper one",
            "np.rint(min(max(x, type(x)(-2)), type(x)(size + 1)))",
            "np.floor(min(max(x, type(x)(-2)), type(x)(size + 1)) + type(x)(0.5))",
        ),
        ("halves to even whatever ties says", "by_ties(m, t, UP)", "by_ties(m, t, 0)"),
        ("nearest gives 0 for a NaN point", "kind(NOWHERE) if x", "kind(OUTSIDE) if x"),
        ("nearest scatters to the first channel", "gu, gv = gU[b, c],", "gu, gv = gU[b, 0],"),
        ("places outside are NaN", "if i == OUTSIDE else", "if i == NOWHERE else"),
    ),
    *_of(
        "kernels/cpu/cubic.py",
        ("the base of the cubic off by one", "type(x)(-3)) - 1)", "type(x)(-3)) - 2)"),
        ("padded taps off by one", "math.floor(x) + i - 1, size", "math.floor(x) + i, size"),
        ("a tap on the border taken for inside", "not 1 <= x < size - 2", "not 0 <= x < size - 2"),
        ("weights to the right not mirrored", "inner(1 - t, a)", "inner(t, a)"),
        ("slopes to the right with the wrong sign", "count, -1, a", "count, 1, a"),
        ("outside for every padding beyond the low end", "-3 if size > 4 else 0", "-9 if size > 4 else 0"),
        (
            "small images as if they were wide",
            "if size > 4 else 0), number(size + 2 if size > 4 else 0)",
            "), number(size + 2)",
        ),
        ("rows tested, columns not", "u if row >= 0 and column >= 0 else", "u if row >= 0 else"),
        (
            "dV/dy with the slope in x",
            "sy += value * (load_scratch(k, i * BLOCK + j) * load_scratch(dk, Y",
            "sy += value * (load_scratch(dk, i * BLOCK + j) * load_scratch(dk, Y",
        ),
        ("NaN in y not in x", "nan = k[:BLOCK] + k[Y : Y + BLOCK]", "nan = k[:BLOCK]"),
    ),
    *_of(
        "kernels/cpu/windows.py",
        ("weights of the wrong neighbour", "= t if i else type(t)(1) - t", "= type(t)(1) - t if i else t"),
        ("the left side taken off kinks, too", "if t != 0 or kink == RIGHT:", "if kink == RIGHT:"),
        ("central without 1/2", "(m - 1, -1), (m, 1)), 0.5", "(m - 1, -1), (m, 1)), 1.0"),
        ("as printed with the wrong sign", "((m, 1), (m, 0), (m, 0), (m, 0))", "((m, -1), (m, 0), (m, 0), (m, 0))"),
        ("the first place of a window too far left", "first, last = math.ceil(t - r", "first, last = math.floor(t - r"),
        ("the quotient rule without its second term", "(di - ki / K * dK) / K", "di / K"),
        ("dphi without the normalisation", "(pi - ki / K * dKdphi) / K", "pi - ki * dKdphi"),
        (
            "gphi not summed over channels",
            "WIDTH, ty, wy, ny, tx, wx, nx)\n                    gx += ",
            "WIDTH, ty, wy, ny, tx, wx, nx)\n                    gx = ",
        ),
        ("a NaN width is not looked for", "y or phi_x != phi_x or phi_y != phi_y:\n            V", "y:\n            V"),
        (
            "x's slope decides in y",
            "gpoints[b, iy] = gy * slope_y * unit[3] if slope_y !=",
            "gpoints[b, iy] = gy * slope_y * unit[3] if slope_x !=",
        ),
        ("slope of the width forgotten", "gy * phi_slope_y if phi_slope_y != 0 else 0", "gy"),
        ("no gU where gpoints is not needed", "*span, *needs[:2])", "*span, all(needs[:2]), needs[1])"),
        ("chain factor of x for y", "gy * slope_y * unit[3]", "gy * slope_y * unit[1]"),
    ),
]

CUDA = [
    *_of(
        "kernels/cuda/kernels.py",
        ("NaN in y does not reach V", "V[b, c, p] = x + y", "V[b, c, p] = x"),
        (
            "x weights used in y",
            "v += times(U[b, c, n + j, m + k], times(weight(k, tx), weight(j, ty)))",
            "v += times(U[b, c, n + j, m + k], times(weight(k, ty), weight(j, tx)))",
        ),
        ("gU overwrites what was there", "cuda.atomic.add(gU", "cuda.atomic.exch(gU"),
        ("x's padding slope used in y", "times(gy, slope_y)", "times(gy, slope_x)"),
        ("the right side whatever kink says", "slope_taps(tx, kink)", "slope_taps(tx, 0)"),
        ("chain factor forgotten", "times(times(gx, slope_x), unit[1])", "times(gx, slope_x)"),
        ("a copy that turns an axis", "j // D, j % D] = source", "j // D, D - 1 - j % D] = source"),
    ),
    *_of(
        "kernels/cuda/lists.py",
        ("points left of the image are not hung up", "-1 <= m < W and -1 <= n", "0 <= m < W and -1 <= n"),
        ("the wrong one of two points first", "or left < right)", "or left > right)"),
        ("a row of cells too short", "(n - j + 1) * (W + 1)", "(n - j + 1) * W"),
        ("only as many cells as threads are sorted", "range(start, cells, columns)", "range(start, cells, cells)"),
    ),
    *_of(
        "kernels/cuda/maths.py",
        ("products that are fused with sums", "builder.call(product, args)", "builder.fmul(*args)"),
        ("central without 1/2", "type(one)(0.5) if last - first == 2 else one", "one"),
        ("nearest with the fraction of bilinear", "nearest(m, t, ties), type(t)(0), ", "nearest(m, t, ties), t, "),
        ("infinity times 0 in an image of one pixel", "if abs(x) != math.inf:", "if True:"),
    ),
    *_of(
        "kernels/cuda/arrays.py",
        ("another array's stream is not waited for", "                event.wait(mine)\n", ""),
        ("the stream that was named is not used", "theirs[0] if theirs and named is None", "theirs[0] if theirs"),
        ("gaps between elements are not seen", "if length > 1 and stride != size:", "if False:"),
    ),
    *_of(
        "kernels/cuda/sampling.py",
        ("lists in the order of arrival", "    call.run(lists.sort, cells, N, heads, following)\n", ""),
        ("a list for each pixel, none for the cells before them", "(H + 1) * (W + 1)\n", "H * W\n"),
    ),
]

FAULTS = TRANSFORMS + GRIDS + SAMPLERS + KERNELS + CUDA
