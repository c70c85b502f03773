// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// The rule of better and worse, for two runs that a reader chose: results/comparison.py and results/noise.py, whose
// numbers come with the page's data. A test holds that both say the same of each pair. Nothing else here decides.
"use strict";
const rule = (() => {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;
  const logarithms = (values) => values.filter((value) => value > 0).map(Math.log);

  function median(values) {
    const ordered = [...values].sort((one, other) => one - other);
    const half = ordered.length >> 1;
    return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
  }

  function below(value, freedom) {
    const angle = Math.atan2(value, Math.sqrt(freedom));
    const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
    const odd = freedom % 2;
    let term = odd ? cosine : 1;
    let total = term;
    for (let step = odd ? 3 : 2; step < freedom - 1; step += 2) {
      term *= (cosine * cosine * (step - 1)) / step;
      total += term;
    }
    return odd ? 0.5 + (angle + (freedom > 1 ? sine * total : 0)) / Math.PI : 0.5 + (sine * total) / 2;
  }

  function studentT(probability, freedom) {
    let [low, high] = [0, 1];
    while (below(high, freedom) < probability) high *= 2;
    for (let halving = 0; halving < 60; halving += 1) {
      const middle = (low + high) / 2;
      if (below(middle, freedom) < probability) low = middle;
      else high = middle;
    }
    return high;
  }

  function shrink(count, correlation) {
    let total = 0;
    for (let lag = 1; lag < count; lag += 1) total += (1 - lag / count) * correlation ** lag;
    return (1 + 2 * total) / count;
  }

  // The standard deviation and the degrees of freedom that a subject's earlier runs tell.
  function learn(values, expected, known) {
    if (!values.length) return [expected, known.usual_weight];
    const count = values.length;
    const middle = median(values);
    const spread = known.normal * median(values.map((value) => Math.abs(value - middle)));
    const limit = known.clip * Math.max(spread * (1 + 1.5 / count), expected / 2);
    const off = values.map((value) => Math.max(-limit, Math.min(limit, value - middle)));
    const squares = sum(off.map((value) => value * value));
    let own = squares ? sum(off.slice(1).map((value, place) => value * off[place])) / squares : 0;
    own += (1 + 3 * Math.max(own, 0)) / count;
    const weight = count + known.correlation_weight;
    const likely = (count * own + known.correlation_weight * known.usual_correlation) / weight + known.caution / Math.sqrt(weight);
    const correlation = Number(Math.min(known.highest_correlation, Math.max(0, likely)).toFixed(2));
    const variance = (known.cut * squares) / Math.max(1, count - 1);
    const worth = 1 / shrink(count, correlation) - 1;
    const blended = (known.usual_weight * expected ** 2 + worth * variance) / (known.usual_weight + worth);
    return [Math.sqrt(blended), Math.trunc(known.usual_weight + worth)];
  }

  // How far chance takes two runs apart, as a share of the baseline; null where nothing tells.
  function margin(ours, theirs, history, usual, known) {
    const sides = [ours, theirs].map(logarithms);
    const earlier = logarithms(history);
    if (earlier.length < known.enough && sides.every((side) => side.length < 2)) return null;
    let squares = 0;
    let freedom = 0;
    for (const side of sides.filter(({ length }) => length > 1)) {
      const middle = mean(side);
      squares += sum(side.map((value) => (value - middle) ** 2));
      freedom += side.length - 1;
    }
    const within = freedom ? Math.sqrt(squares / freedom) : 0;
    const repeats = freedom
      ? studentT(0.975, freedom) * within * Math.sqrt(sum(sides.filter(({ length }) => length).map(({ length }) => 1 / length))) : 0;
    const [deviation, degrees] = learn(earlier, Math.max(usual, within), known);
    return Math.expm1(Math.max(repeats, studentT(known.pair, degrees) * deviation * Math.sqrt(2)));
  }

  // One figure of a run beside a baseline: values a repeat, and the means of the run's subject before it.
  function compare(ours, theirs, history, { higher, usual, known, judged }) {
    const [value, base] = [mean(ours), mean(theirs)];
    const reach = margin(ours, theirs, history, usual, known);
    let verdict = null;
    if (judged && reach !== null) {
      verdict = Math.abs(value - base) <= reach * base ? "same" : value > base === higher ? "better" : "worse";
    }
    return { base, value, change: value / base - 1, margin: reach, verdict };
  }

  return { compare };
})();
