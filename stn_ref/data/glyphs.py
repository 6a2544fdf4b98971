"""Glyphs of the ten digits: pen strokes, each a list of hand-chosen points on a smooth curve.

Imports nothing. Read next: digits.py, which jitters the points, computes the curves and draws them.
"""

# (digit, relative frequency, strokes). A stroke is one curve of the pen. Its points are "x,y" in hundredths of the
# glyph's height, x to the right, y down. Strokes with an equal point share it, also after jitter: this makes a corner.
GLYPHS = (
    # 0: from the top, closed by chance; from the right, running over its start; a narrow one
    (0, 4, "38,2 10,20 4,64 34,98 68,70 64,18 35,3"),
    (0, 3, "54,12 30,2 4,36 16,88 52,94 72,46 52,6 22,12"),
    (0, 1, "28,4 8,34 10,84 34,92 50,48 42,6 20,8"),
    # 1: a plain stroke; with a flag; with a flag and a foot
    (1, 5, "10,0 10,100"),
    (1, 4, "10,0 11,50 10,100"),
    (1, 2, "0,22 9,11 16,0", "16,0 15,50 14,100"),
    (1, 0.5, "4,20 20,0", "20,0 20,98", "8,98 20,98 32,98"),
    # 2: a corner at the foot; a loop at the foot; a wave for a base; an angular one
    (2, 3, "6,24 16,6 34,0 50,12 46,38 28,66 4,95", "4,95 30,96 64,92"),
    (2, 3, "8,22 20,5 38,2 50,18 44,46 26,76 8,90 3,80 14,72 34,84 50,96 68,88"),
    (2, 2, "6,20 22,3 44,6 48,30 28,62 4,92", "4,92 18,84 36,90 50,97 68,86"),
    (2, 1, "2,14 26,3 50,8 36,44 6,95", "6,95 34,94 60,95"),
    # 3: a notch; a small loop in the waist; a flat top
    (3, 4, "6,12 24,1 44,8 45,28 20,45", "20,45 46,52 55,74 40,95 16,98 0,86"),
    (3, 2, "4,10 28,0 50,12 42,36 24,46 20,42 34,44 54,60 52,86 28,99 2,90"),
    (3, 1, "6,5 28,4 52,2", "52,2 38,22 24,40", "24,40 48,50 54,74 36,96 4,94"),
    # 4: open, with a straight bar; closed; open and round, its second leg in the same run; closed at the top
    (4, 4, "14,2 9,28 2,52", "2,52 26,54 60,48", "52,6 47,52 42,100"),
    (4, 1, "44,0 24,30 2,62", "2,62 32,62 64,58", "44,0 43,50 41,100"),
    (4, 3, "10,4 3,26 8,44 26,48 46,36 54,6", "54,6 48,50 40,100"),
    (4, 1, "48,3 26,18 4,46", "4,46 24,52 47,42", "48,3 47,42 34,100"),
    # 5: with a hat; in one run, like an S; with a hat that misses its stroke
    (5, 3, "16,6 13,24 10,43", "10,43 34,36 54,54 50,82 28,98 2,90", "16,6 38,5 62,1"),
    (5, 2, "58,2 34,4 16,14 14,34 30,46 46,60 46,84 26,98 2,92"),
    (5, 2, "18,10 15,28 14,44 36,44 52,60 48,84 26,98 0,94", "22,7 42,5 64,3"),
    # 6: a wide loop; a tall one that ends inside; a curl at the top
    (6, 3, "44,0 22,20 6,50 5,80 22,98 46,90 51,68 34,55 14,66 7,82"),
    (6, 3, "30,0 12,28 3,60 10,90 30,99 48,84 44,62 26,58 8,76"),
    (6, 1, "54,10 44,1 26,12 8,44 4,78 22,98 48,88 46,64 26,60 8,80"),
    # 7: plain; with a serif; crossed; in one round run
    (7, 4, "0,7 28,7 56,3", "56,3 42,34 28,66 20,100"),
    (7, 2, "2,22 4,7", "4,7 30,7 58,3", "58,3 46,34 34,66 30,100"),
    (7, 2, "2,8 28,6 56,3", "56,3 40,36 26,70 20,100", "10,54 32,51 56,48"),
    (7, 1, "2,16 16,4 44,2 50,18 40,46 30,74 26,100"),
    # 8: an S closed by a straight run; the same from the left; two loops
    (8, 4, "52,14 34,1 12,10 14,32 34,50 50,72 38,96 16,96 4,78 18,56 40,36 52,10"),
    (8, 2, "14,22 18,6 36,1 50,14 40,36 20,52 6,74 14,95 36,97 46,78 34,54 18,36 12,16"),
    (8, 2, "28,47 10,34 12,8 32,1 48,16 42,38 27,48", "27,48 8,64 4,86 24,99 48,90 50,66 30,48"),
    # 9: a loop and a straight stem; a hook for a tail; a loop and a slanting stem in one run
    (9, 3, "50,14 34,2 12,10 4,32 16,48 38,40 51,12", "51,12 49,54 46,100"),
    (9, 1, "50,18 32,2 10,12 5,36 24,48 44,34 51,14 53,48 42,84 16,98"),
    (9, 3, "44,8 24,4 6,22 8,42 28,44 46,24 50,6 44,38 34,70 24,100"),
)
