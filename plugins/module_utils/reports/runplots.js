// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// The plots of an opened run, and of two that are compared: their latencies, and how a run went over its time.
"use strict";
const runPlots = (() => {
  const { make, number } = page;
  const { chart } = plots;
  const mark = (run) => (document.getElementById("run-" + run[0])?.querySelector(".simulated") ? "SIMULATED " : "");

  // How a run's latencies are spread over its requests.
  function histograms(box, run) {
    if (!run[9].length) return;
    box.append(make("h4", {}, "Latencies of its requests"), make("div", { className: "plots" }, ...run[9].map(([title, first, decade, counts]) => {
      const figure = make("figure", {});
      const ends = counts.map((_count, place) => [0, 1].map((side) => 10 ** ((first + place + side) / decade)));
      requestAnimationFrame(() => chart(figure, `${title} of the requests of ${run[0]}`, [{
        name: title, colour: "--bar", xs: ends.map(([low, high]) => Math.sqrt(low * high)), ys: counts,
        told: (point) => `${mark(run)}${number(counts[point])} of ${number(counts.reduce((sum, count) => sum + count, 0))}: ${title} ${number(ends[point][0])} to ${number(ends[point][1])} ms`,
      }], { log: true, bars: true, x: `${title}, ms`, y: "requests" }));
      return figure;
    })));
  }

  // How the latencies of several runs are spread: of each, which share of its requests a bucket has.
  function spreads(box, named) {
    const titles = named[0][1][9].map(([title]) => title).filter((title) => named.every(([, run]) => run[9].some(([other]) => other === title)));
    if (!titles.length) return;
    box.append(make("h3", {}, "Latencies of their requests"), make("div", { className: "plots" }, ...titles.map((title) => {
      const figure = make("figure", {}, make("figcaption", {}, title));
      const canvas = make("div", {});
      figure.append(canvas);
      const lines = named.map(([name, run], index) => {
        const [, first, decade, counts] = run[9].find(([other]) => other === title);
        const total = counts.reduce((sum, count) => sum + count, 0);
        const ends = counts.map((_count, place) => [0, 1].map((side) => 10 ** ((first + place + side) / decade)));
        return {
          name: `${name}, ${run[1]}`, colour: `--kind-${index * 3 + 1}`, dashed: name.startsWith("SIMULATED"), xs: ends.map(([low, high]) => Math.sqrt(low * high)), ys: counts.map((count) => (100 * count) / total),
          told: (point) => `${name}: ${number((100 * counts[point]) / total)} % of its requests, ${title} ${number(ends[point][0])} to ${number(ends[point][1])} ms`,
        };
      });
      requestAnimationFrame(() => chart(canvas, `${title} of the requests of ${named.map(([name]) => name).join(" and ")}`, lines, { log: true, zero: true, x: `${title}, ms`, y: "% of requests" }));
      return figure;
    })));
  }

  // What was sampled during a run's first repeat.
  function overTime(box, run) {
    const [part, found] = run[10];
    if (!found?.length) return;
    box.append(make("h4", {}, "Over the time of its first repeat"), make("div", { className: "plots" }, ...found.map(([title, unit, named]) => {
      const figure = make("figure", {}, make("figcaption", {}, title));
      const canvas = make("div", {});
      figure.append(canvas);
      const lines = named.map(([name, values], index) => ({
        name, colour: `--kind-${index + 1}`, dashed: Boolean(mark(run)), gaps: true, xs: values.map((_value, place) => (place + 0.5) * part), ys: values,
        told: (point) => `${mark(run)}${number(part * point)} to ${number(part * (point + 1))} s: ${name} ${number(values[point])} ${unit}`,
      }));
      requestAnimationFrame(() => chart(canvas, `${title} during ${run[0]}`, lines, { zero: true, x: "seconds", y: unit }));
      return figure;
    })));
  }

  return { histograms, spreads, overTime };
})();
