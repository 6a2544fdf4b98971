"""For each exhibit, exactly the claims that catch it. A test checks every line."""

# What a sampler violates if it reads all its points in the wrong places.
MISPLACED = """
    width-goes-with-x target-to-source output-is-laid-out-as-the-grid equation-5 zeros-fade-over-one-pixel
    zeros-keep-a-quarter-at-a-corner zeros-beyond-one-pixel border-repeats-the-edge gradient-is-per-normalised-unit
    slope-of-a-cell-by-hand image-gradient-adds-up equation-6 grid-gradient-is-the-slope
    each-sample-has-its-own-gradient gradient-at-pixels-is-alive padded-border-is-flat nearest-rounds
    nearest-reaches-the-edge nearest-has-no-slope bicubic-is-keys-with-three-quarters huge-coordinate-is-outside
    infinite-coordinate-is-outside
"""

CAUGHT_BY = {
    # forward.py
    "clip-before-weight": """
        identity width-goes-with-x target-to-source output-is-laid-out-as-the-grid
        align-corners-false-reaches-the-edges align-corners-true-reaches-the-centres equation-5 single-pixel-image
        zeros-fade-over-one-pixel zeros-keep-a-quarter-at-a-corner border-repeats-the-edge reflection-about-the-edge
        equation-6 golden-zeros-align-corners-false golden-zeros-align-corners-true huge-coordinate-is-outside
        infinite-coordinate-is-outside
    """,
    "scaled-by-two-less": f"""
        {MISPLACED} identity x-before-y align-corners-true-reaches-the-centres single-pixel-image
        reflection-about-the-centres constant-image-has-no-slope-in-a-cell golden-zeros-align-corners-true golden-padded
        bicubic-pads-taps float64-is-computed-in-float64
    """,
    "row-before-column": f"""
        {MISPLACED} identity constant-stays-constant x-before-y align-corners-false-reaches-the-edges
        align-corners-true-reaches-the-centres reflection-about-the-edge reflection-about-the-centres
        golden-zeros-align-corners-false golden-zeros-align-corners-true golden-padded bicubic-pads-taps
    """,
    "transposed-output": """
        identity target-to-source output-is-laid-out-as-the-grid image-gradient-is-the-transpose
        grid-gradient-is-the-slope nan-coordinate-stays-local nan-coordinate-gives-nan
    """,
    "height-for-width": f"""
        {MISPLACED} identity constant-stays-constant align-corners-false-reaches-the-edges
        align-corners-true-reaches-the-centres reflection-about-the-edge reflection-about-the-centres
        constant-image-has-no-slope-at-pixels nan-pixel-stays-local
    """,
    "align-corners-ignored": f"""
        {MISPLACED} identity x-before-y align-corners-false-reaches-the-edges single-pixel-image
        reflection-about-the-edge golden-zeros-align-corners-false bicubic-pads-taps
    """,
    "source-to-target": f"""
        {MISPLACED} constant-stays-constant x-before-y align-corners-false-reaches-the-edges
        align-corners-true-reaches-the-centres single-pixel-image reflection-about-the-edge reflection-about-the-centres
        constant-image-has-no-slope-in-a-cell constant-image-has-no-slope-at-pixels kink-takes-the-right-slope
        golden-zeros-align-corners-false golden-zeros-align-corners-true golden-padded bicubic-pads-taps
        nan-pixel-stays-local
    """,
    "point-tested-instead-of-taps": """
        output-is-laid-out-as-the-grid equation-5 single-pixel-image zeros-fade-over-one-pixel
        zeros-keep-a-quarter-at-a-corner equation-6 slope-at-a-kink-lies-between kink-takes-the-right-slope
        golden-zeros-align-corners-false
    """,
    "negative-index-wraps": """
        equation-5 single-pixel-image zeros-fade-over-one-pixel zeros-keep-a-quarter-at-a-corner
        zeros-beyond-one-pixel equation-6 golden-zeros-align-corners-false nearest-reaches-the-edge
        bicubic-pads-taps
    """,
    "other-mirrors": "reflection-about-the-edge reflection-about-the-centres golden-padded bicubic-pads-taps",
    "forgets-the-rest": "equation-5",
    "reflects-an-empty-span": "single-pixel-image",
    "nearest-truncates": "nearest-rounds nearest-reaches-the-edge nearest-has-no-slope",
    "bicubic-is-bilinear": "bicubic-is-keys-with-three-quarters bicubic-is-smooth bicubic-pads-taps",
    "bicubic-with-one-half": "bicubic-is-keys-with-three-quarters bicubic-pads-taps",
    "bicubic-pads-the-point": "bicubic-pads-taps",
    "thirty-seconds-of-a-pixel": """
        equation-5 equation-6 grid-gradient-is-the-slope slope-at-a-kink-lies-between kink-takes-the-right-slope
        float64-is-computed-in-float64
    """,
    "jitter": "padded-border-is-flat golden-padded float64-is-computed-in-float64 same-call-same-answer",
    # backward.py
    "ceil-neighbour": """
        gradient-at-pixels-is-alive slope-at-a-kink-lies-between kink-takes-the-right-slope
        golden-zeros-align-corners-true
    """,
    "equation-seven-as-printed": """
        gradient-at-pixels-is-alive constant-image-has-no-slope-at-pixels slope-at-a-kink-lies-between
        kink-takes-the-right-slope golden-zeros-align-corners-false golden-zeros-align-corners-true
    """,
    "left-kink": "kink-takes-the-right-slope golden-zeros-align-corners-true",
    "no-chain-factor": """
        gradient-is-per-normalised-unit slope-of-a-cell-by-hand grid-gradient-is-the-slope
        each-sample-has-its-own-gradient gradient-at-pixels-is-alive slope-at-a-kink-lies-between
        kink-takes-the-right-slope golden-zeros-align-corners-false golden-zeros-align-corners-true golden-padded
    """,
    "weight-of-the-wrong-axis": """
        gradient-is-per-normalised-unit slope-of-a-cell-by-hand grid-gradient-is-the-slope
        each-sample-has-its-own-gradient constant-image-has-no-slope-in-a-cell gradient-at-pixels-is-alive
        constant-image-has-no-slope-at-pixels slope-at-a-kink-lies-between kink-takes-the-right-slope
        golden-zeros-align-corners-true golden-padded
    """,
    "transposed-upstream": """
        equation-6 image-gradient-is-the-transpose grid-gradient-is-the-slope each-sample-has-its-own-gradient
        nan-coordinate-spares-the-image-gradient nan-coordinate-spares-the-padded-gradient
    """,
    "lost-updates": """
        image-gradient-adds-up equation-6 image-gradient-is-the-transpose nan-coordinate-spares-the-image-gradient
        nan-coordinate-spares-the-padded-gradient
    """,
    "border-pushes": "padded-border-is-flat golden-padded",
    "nearest-with-a-slope": "grid-gradient-is-the-slope nearest-has-no-slope",
    # manners.py
    "doubles-everything": "dtype-is-kept dtype-of-gradients-is-kept",
    "ten-bits": "float32-agrees-with-float64 float32-gradients-agree-with-float64",
    "writes-to-the-grid": "inputs-are-left-alone backward-leaves-inputs-alone",
    "reads-raw-memory": "memory-layout-does-not-matter",
    "tile-for-repeat": """
        image-gradient-is-the-transpose grid-gradient-is-the-slope images-of-a-batch-are-independent
        channels-share-the-points
    """,
    "refuses-to-diverge": """
        empty-grid-gives-an-empty-output nan-coordinate-stays-local nan-coordinate-gives-nan
        huge-coordinate-is-outside infinite-coordinate-is-outside nan-coordinate-spares-the-image-gradient
        nan-coordinate-spares-the-padded-gradient huge-coordinate-has-no-gradient
    """,
    "integer-overflow": """
        huge-coordinate-is-outside infinite-coordinate-is-outside nan-coordinate-spares-the-padded-gradient
    """,
    "nan-is-a-pixel": """
        nan-coordinate-gives-nan nan-coordinate-spares-the-image-gradient nan-coordinate-spares-the-padded-gradient
    """,
    "dense-sum": "nan-pixel-stays-local",
    "masks-by-multiplying": "nan-coordinate-spares-the-image-gradient nan-coordinate-spares-the-padded-gradient",
    # splines.py
    "silently-affine": "tps-goes-through-its-destinations tps-bends tps-has-minimum-bending",
    "distances-to-the-destinations": "tps-has-minimum-bending tps-moves-and-turns-with-its-points",
    "backwards": """
        tps-goes-through-its-destinations tps-of-an-affine-map-is-affine tps-has-minimum-bending
        tps-moves-and-turns-with-its-points
    """,
    "other-dimension": "tps-has-minimum-bending",
    "no-affine-part": "tps-of-an-affine-map-is-affine tps-has-minimum-bending",
}
