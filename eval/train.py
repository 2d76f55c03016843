#!/usr/bin/env python3
"""Trains the model of miner-guard/src/identify/cpu/weights.rs, and says how well it does on families it has not seen.

    python3 eval/train.py            # writes weights.rs, prints the evaluation
    python3 eval/train.py --check    # only tells whether weights.rs is what the data gives

Logistic regression by Newton's method, with nothing but the standard library. Every program counts the same, however many
windows it has. Only the labels `pow` and `benign` are learned from: programs that hash or encrypt for other ends look the
same by their instructions, and are told apart by the data they move. The table is one row a window of samples and process;
it was measured on 186 programs, 9 to 16 s each, and is licensed like the project.
"""

import collections
import csv
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
DATA = HERE / "runtime-features.csv"
OUT = HERE.parent / "miner-guard/src/identify/cpu/weights.rs"
FEATURES = ["mix", "branchy", "f_fp", "straight", "f_imul", "f_sha", "f_aes", "f_clmul", "f_load"]
RIDGE = 1e-3
FLAGGED = 0.5

# Programs that share an algorithm, a runtime or a code base are left out together.
FAMILIES = [
    ("sha2", r"sha256|sha512|gc-SHA256|openssl-sha256d|java-sha256|node-js-sha256|python-hashlib-nonce"),
    ("keccak", r"keccak|sha3|java-sha3"),
    ("blake", r"blake"),
    ("argon2", r"argon2"),
    ("scrypt", r"scrypt"),
    ("randomx", r"randomx"),
    ("cryptonight", r"crypton|cn-|ghostrider"),
    ("whirlpool", r"whirlpool|WHIRLPOOL"),
    ("chacha-rng", r"chacha"),
    ("counter-rng", r"mc-|py-philox|py-pcg|py-sfc"),
    ("bit-automata", r"life-bits|ising-bits|rule30|queens-bits|py-pbits"),
    ("java", r"^java-(map|num|str)"),
    ("node", r"^node-"),
    ("python", r"^py-"),
    ("zstd", r"zstd|lz4|dedup"),
    ("nginx", r"nginx|s_server"),
    ("ffmpeg", r"x264|x265|vp9|^ff-"),
    ("compilers", r"gcc-|rustc-"),
    ("deflate", r"gzip|bzip2|xz|7z"),
    ("alignment", r"bwa|minimap|samtools|kmer"),
    ("fft", r"fft|ntt"),
]


def family(program):
    for name, pattern in FAMILIES:
        if re.search(pattern, program):
            return name
    return program


def load():
    with open(DATA, newline="") as file:
        rows = list(csv.DictReader(file))
    return [(r["program"], r["label"], [float(r[f] or 0) for f in FEATURES]) for r in rows]


def solve(matrix, right):
    """Gauss with pivoting."""
    n = len(right)
    a = [row[:] + [right[i]] for i, row in enumerate(matrix)]
    for col in range(n):
        pivot = max(range(col, n), key=lambda r: abs(a[r][col]))
        a[col], a[pivot] = a[pivot], a[col]
        for row in range(col + 1, n):
            factor = a[row][col] / a[col][col]
            for k in range(col, n + 1):
                a[row][k] -= factor * a[col][k]
    out = [0.0] * n
    for row in reversed(range(n)):
        out[row] = (a[row][n] - sum(a[row][k] * out[k] for k in range(row + 1, n))) / a[row][row]
    return out


def logistic(z):
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def train(rows):
    """(mean, scale, weight) of each feature, and the bias."""
    n = len(FEATURES)
    size = len(rows)
    windows = collections.Counter(program for program, _, _ in rows)
    mean = [sum(x[i] for _, _, x in rows) / size for i in range(n)]
    scale = [max(1e-4, math.sqrt(sum((x[i] - mean[i]) ** 2 for _, _, x in rows) / size)) for i in range(n)]
    points = [[(x[i] - mean[i]) / scale[i] for i in range(n)] + [1.0] for _, _, x in rows]
    wanted = [1.0 if label == "pow" else 0.0 for _, label, _ in rows]
    each = [1.0 / windows[program] for program, _, _ in rows]
    total = sum(each)
    weight = [0.0] * (n + 1)
    for _ in range(12):
        gradient = [RIDGE * w for w in weight[:n]] + [0.0]
        hessian = [[RIDGE if i == j and i < n else 1e-9 if i == j else 0.0 for j in range(n + 1)] for i in range(n + 1)]
        for x, y, e in zip(points, wanted, each):
            p = logistic(sum(a * b for a, b in zip(weight, x)))
            g, h = e / total * (p - y), e / total * p * (1 - p)
            for i, xi in enumerate(x):
                gradient[i] += g * xi
                for j in range(i + 1):
                    hessian[i][j] += h * xi * x[j]
        for i in range(n + 1):
            for j in range(i):
                hessian[j][i] = hessian[i][j]
        weight = [w - s for w, s in zip(weight, solve(hessian, gradient))]
    return list(zip(mean, scale, weight)), weight[n]


def probability(model, x):
    parts, bias = model
    return logistic(bias + sum(w * (v - m) / s for (m, s, w), v in zip(parts, x)))


def rust(model):
    parts, bias = model
    lines = [
        "//! Weights of the model of the instruction mix: how far a feature lies above its mean, in standard deviations, times",
        "//! its weight, summed. Written by `eval/train.py` from `eval/runtime-features.csv`; not edited by hand.",
        "",
        "use super::mix::{FEATURES, Weight};",
        "",
        "/// The bias, then a weight for each feature.",
        f"pub(super) const WEIGHTS: (f64, [Weight; FEATURES]) = (",
        f"    {bias:.4f},",
        "    [",
    ]
    for name, (mean, scale, weight) in zip(FEATURES, parts):
        lines.append(f'        Weight {{ name: "{name}", mean: {mean:.4f}, scale: {scale:.4f}, weight: {weight:.4f} }},')
    return "\n".join(lines + ["    ],", ");", ""])


def evaluate(rows):
    """By program: the share of its windows that is flagged, its family held out."""
    learned = [r for r in rows if r[1] in ("pow", "benign")]
    everything = train(learned)
    families = collections.defaultdict(list)
    for row in rows:
        families[family(row[0])].append(row)
    flagged = {}
    for held, members in sorted(families.items()):
        seen = any(r[1] in ("pow", "benign") for r in members)
        model = train([r for r in learned if family(r[0]) != held]) if seen else everything
        for program, label, x in members:
            flagged.setdefault((label, program), []).append(probability(model, x) >= FLAGGED)
    print("| label | programs | flagged (80 % of windows, whole families held out) |\n| --- | --- | --- |")
    verdict = {key: sum(v) >= 0.8 * len(v) for key, v in flagged.items()}
    for label in sorted({label for label, _ in verdict}):
        of = [p for (l, p), _ in verdict.items() if l == label]
        print(f"| {label} | {len(of)} | {sum(verdict[label, p] for p in of)} |")
    print("\nmissed:", ", ".join(p for (l, p), v in verdict.items() if l == "pow" and not v))
    print("benign, flagged:", ", ".join(p for (l, p), v in verdict.items() if l == "benign" and v))


def main():
    rows = load()
    text = rust(train([r for r in rows if r[1] in ("pow", "benign")]))
    if "--check" in sys.argv:
        if OUT.read_text() != text:
            sys.exit(f"{OUT} is not what {DATA} gives: run eval/train.py")
        return
    OUT.write_text(text)
    evaluate(rows)


if __name__ == "__main__":
    main()
