// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// The plots, drawn by uPlot when they come into sight. What a point says is told to eyes, keyboard and screen reader alike.
"use strict";
const plots = (() => {
  const { make, number, minute, get, set } = page;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // By the box that it stands in, so that one that is drawn again takes its place.
  const drawn = new Map();
  // What is drawn again where something else is chosen.
  const kept = (draw) => {
    filter.on(draw);
    draw();
  };

  // Draws lines of {name, xs, ys, colour, dashed, dots, told} in a box; told gives a point's text.
  // A band is [low, high] across, a mark [line, point, tone]; off are [line, point] of those that are drawn empty.
  function chart(box, label, lines, { time = false, log = false, x, y, band = null, marks = [], off = [], bars = false, zero = false }) {
    for (const [old, { end }] of drawn) {
      if (old !== box && old.isConnected) continue;
      end();
      drawn.delete(old);
    }
    box.replaceChildren();
    const wide = () => Math.floor(box.getBoundingClientRect().width) || 320;
    const place = make("div", { className: "canvas", tabIndex: 0 });
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", `${label}. Left and right arrows go from point to point, up and down from line to line.`);
    const tip = make("p", { className: "tip" }, "\u00a0");
    tip.setAttribute("aria-live", "polite");
    // Of a decade 1, 2 and 5: its other lines have no room for words.
    const filter = (_plot, ticks) => ticks.map((tick) => ("125".includes(tick.toExponential()[0]) ? tick : null));
    const axis = { stroke: () => css("--muted"), grid: { stroke: () => css("--line"), width: 1 }, ticks: { show: false }, size: 22, font: "11px system-ui, sans-serif", labelFont: "11px system-ui, sans-serif", labelSize: 18 };
    const plain = (_plot, values) => values.map((value) => (value === null ? "" : value.toLocaleString("en-US", { maximumSignificantDigits: 4 })));
    // Digits alone, as everywhere in the page; the first says the whole day.
    const dates = (_plot, moments, _axis, _space, step) => moments.map((at, index) => {
      const text = new Date(at * 1000).toISOString();
      const short = step >= 86400 ? text.slice(5, 10) : text.slice(11, 16);
      return index ? short : `${short}\n${step >= 86400 ? text.slice(0, 4) : text.slice(0, 10)}`;
    });
    const picked = { line: 0, point: -1 };
    // Line and point of each place on the joined axis are found again by what uPlot was given.
    const joined = uPlot.join(lines.map(({ xs, ys }) => [xs, ys]));
    const ends = (_plot, low, high) => (zero ? [0, high * 1.08] : [low - (high - low || high || 1) * 0.12, high + (high - low || high || 1) * 0.12]);
    const plot = new uPlot({
      width: wide(),
      height: 240,
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time, distr: log ? 3 : 1, range: time || log ? undefined : (_plot, low, high) => (zero ? [0, high * 1.08] : [low - 0.5, high + 0.5]) }, y: { range: bars ? (_plot, _low, high) => [0, high * 1.1] : (plot, low, high) => ends(plot, Math.min(low, band ? band[0] : low), Math.max(high, band ? band[1] : high)) } },
      axes: [{ ...axis, ...(log ? { filter } : {}), label: x, size: time ? 34 : 22, values: time ? dates : plain }, { ...axis, label: y, size: 56, values: plain }],
      cursor: { drag: { x: true, y: false }, points: { show: false } },
      series: [{}, ...lines.map((line) => ({
        label: line.name,
        stroke: () => css(line.colour),
        fill: bars ? () => css("--bar-light") : undefined,
        width: line.dots ? 0 : line.wide ? 7 : 1.6,
        dash: line.dashed ? [6, 4] : undefined,
        // Lines of other times stand in one plot; a gap is told where that is said.
        spanGaps: !line.gaps,
        paths: bars ? uPlot.paths.bars({ size: [0.9, 60] }) : line.dots ? () => null : undefined,
        points: { show: !bars && !line.wide && (line.dots || line.xs.length < 60), size: 7, fill: () => css(line.dashed ? "--surface" : line.colour), stroke: () => css(line.colour) },
      }))],
      hooks: {
        drawAxes: [(plot) => {
          if (!band) return;
          const { ctx, bbox } = plot;
          const [low, high] = band.map((end) => plot.valToPos(end, "y", true));
          ctx.save();
          ctx.fillStyle = css("--band");
          ctx.fillRect(bbox.left, high, bbox.width, low - high);
          ctx.restore();
        }],
        draw: [(plot) => {
          const { ctx } = plot;
          ctx.save();
          for (const [line, point] of off) {
            if (!plot.series[line + 1].show) continue;
            ctx.fillStyle = css("--surface");
            ctx.beginPath();
            ctx.strokeStyle = css(lines[line].colour);
            ctx.arc(plot.valToPos(lines[line].xs[point], "x", true), plot.valToPos(lines[line].ys[point], "y", true), 3 * devicePixelRatio, 0, 7);
            ctx.fill();
            ctx.stroke();
          }
          for (const [line, point, tone] of marks) {
            const [left, top] = [plot.valToPos(lines[line].xs[point], "x", true), plot.valToPos(lines[line].ys[point], "y", true)];
            ctx.strokeStyle = css(tone === "worse" ? "--worse" : "--better");
            ctx.lineWidth = 2 * devicePixelRatio;
            ctx.beginPath();
            ctx.arc(left, top, 7 * devicePixelRatio, 0, 7);
            ctx.stroke();
          }
          if (picked.point >= 0) {
            const line = lines[picked.line];
            ctx.fillStyle = css("--ink");
            ctx.beginPath();
            ctx.arc(plot.valToPos(line.xs[picked.point], "x", true), plot.valToPos(line.ys[picked.point], "y", true), 4.5 * devicePixelRatio, 0, 7);
            ctx.fill();
          }
          ctx.restore();
        }],
      },
    }, joined, place);
    const pick = (line, point) => {
      if (line === picked.line && point === picked.point) return;
      Object.assign(picked, { line, point });
      tip.textContent = point < 0 ? "\u00a0" : lines[line].told(point);
      plot.redraw(false);
    };
    const shown = (line) => plot.series[line + 1].show;
    place.addEventListener("pointermove", () => {
      const { left, top } = plot.cursor;
      let best = [0, -1, 30 * 30];
      if (left >= 0) lines.forEach(({ xs, ys }, line) => {
        if (shown(line)) xs.forEach((value, point) => {
          if (ys[point] === null) return;
          const away = (plot.valToPos(value, "x") - left) ** 2 + (bars ? 0 : (plot.valToPos(ys[point], "y") - top) ** 2);
          if (away < best[2]) best = [line, point, away];
        });
      });
      pick(best[0], best[1]);
    });
    place.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      const visible = lines.map((_line, index) => index).filter(shown);
      if (!visible.length) return;
      const at = (Math.max(0, visible.indexOf(picked.line)) + step[0] + visible.length) % visible.length;
      const line = visible[at];
      let point = picked.point + step[1];
      while (lines[line].ys[point] === null) point += step[1] || 1;
      pick(line, Math.max(0, Math.min(lines[line].xs.length - 1, point)));
    });
    box.append(place, tip);
    if (lines.length > 1 && lines.length <= 12) {
      box.append(make("p", { className: "legend" }, ...lines.map((line, index) => {
        const button = make("button", { type: "button" }, make("i", {}), line.name);
        button.firstChild.style.borderTop = `3px ${line.dashed ? "dashed" : "solid"} var(${line.colour})`;
        button.setAttribute("aria-pressed", "true");
        button.addEventListener("click", () => {
          plot.setSeries(index + 1, { show: !shown(index) });
          button.setAttribute("aria-pressed", String(shown(index)));
        });
        return button;
      })));
    }
    const whole = make("button", { type: "button", className: "whole" }, "Whole");
    whole.title = "Undoes a zoom, which dragging across the plot makes";
    whole.addEventListener("click", () => plot.setData(joined));
    box.append(whole);
    const sized = new ResizeObserver(() => plot.setSize({ width: wide(), height: 240 }));
    sized.observe(box);
    const end = () => {
      sized.disconnect();
      plot.destroy();
    };
    drawn.set(box, { plot, end });
  }

  function choose(label, texts, key, change) {
    const select = make("select", {}, ...texts.map((text, value) => make("option", { value }, text)));
    const kept = Number(get(key));
    select.value = kept > 0 && kept < texts.length ? kept : 0;
    select.addEventListener("input", () => {
      set(key, Number(select.value) || null);
      change();
    });
    return [make("label", {}, `${label} `, select), () => Number(select.value)];
  }

  const KINDS = 6;

  // One metric of all hosts of a cohort over time, or of one with its noise.
  function history(figure, { metrics, cohorts, series, runs, marks }) {
    const number_ = Number(figure.dataset.history);
    const [title, simulated] = cohorts[number_];
    const own = series.map((item, place) => ({ ...item, place, runs: [] })).filter((item) => item.cohort === number_);
    const places = new Map(own.map((item, index) => [item.place, index]));
    runs.series.forEach((owner, run) => places.has(owner) && own[places.get(owner)].runs.push(run));
    const box = make("div", {});
    const draw = () => {
      const metric = metricOf();
      const [, label, unit] = metrics[metric];
      const some = own.length > 1 && hostOf() ? [own[hostOf() - 1]] : own.filter(({ of }) => filter.of(of));
      const changed = marks.filter((mark) => mark[1] === metric);
      const found = [];
      const off = [];
      const lines = some.map((item, index) => {
        const told = changed.filter(([owner, , since]) => owner === item.place && filter.at(since));
        const known = item.runs.filter((run) => runs.values[metric][run] !== null && filter.at(runs.at[run]));
        const xs = known.map((run) => runs.at[run]);
        // Runs of one moment stand beside one another.
        xs.forEach((at, place) => { if (place && at <= xs[place - 1]) xs[place] = xs[place - 1] + 1; });
        for (const [, , since, tone] of told) {
          const point = known.findIndex((run) => runs.at[run] >= since);
          if (point >= 0) found.push([index, point, tone]);
        }
        // What gives no verdict is drawn empty.
        known.forEach((run, point) => { if (runs.flaw[run]) off.push([index, point]); });
        const many = some.length > KINDS;
        const tone = told.length ? `--${told.at(-1)[3]}` : "--bar-light";
        return {
          name: item.host, xs, ys: known.map((run) => runs.values[metric][run]), dashed: simulated,
          colour: many ? tone : `--kind-${index + 1}`,
          told: (point) => {
            const run = known[point];
            const mark = told.find(([, , since]) => known.findIndex((one) => runs.at[one] >= since) === point);
            const failed = runs.failed[run] ? `, ${runs.failed[run]} requests failed` : "";
            const flaw = runs.flaw[run] && !runs.failed[run] ? `, ${runs.flaws[runs.flaw[run]][0]}` : "";
            return `${simulated ? "SIMULATED " : ""}${item.host}, ${minute(runs.at[run])} UTC: ${label} ${number(runs.values[metric][run])} ${unit}, version ${runs.versions[runs.version[run]]}${failed}${flaw}${mark ? `. Since then: ${mark[4]}` : ""}`;
          },
        };
      }).filter(({ xs }) => xs.length);
      const band = some.length === 1 ? some[0].bands[metric] || null : null;
      if (!lines.length) box.replaceChildren("No run has this figure.");
      else chart(box, `${label} of ${title} over time`, lines, { time: true, x: "start of the run, UTC", y: `${label}, ${unit}`, band, ...(lines.length === some.length ? { marks: found, off } : {}) });
      const empty = off.length ? " Empty points give no verdict: cold, disturbed or with failed requests." : "";
      note.textContent = (band ? "The band is where chance takes a run of the level that it has now." : own.length > 1 && own.length > KINDS ? "Lines of hosts that changed are coloured; choose one to see its noise." : "") + empty;
    };
    const note = make("p", { className: "fine" });
    const [metricLabel, metricOf] = choose("Figure", metrics.map(([, label, unit]) => `${label}, ${unit}`), `m${number_}`, () => draw());
    const [hostLabel, hostOf] = choose("Host", ["all", ...own.map(({ host }) => host)], `h${number_}`, () => draw());
    figure.append(make("div", { className: "limits" }, metricLabel, ...(own.length > 1 ? [hostLabel] : [])), box, note);
    kept(draw);
  }

  // The latest run of each host, by rank.
  function siblings(figure, { metrics, cohorts, series, runs }) {
    const number_ = Number(figure.dataset.siblings);
    const [title, simulated] = cohorts[number_];
    const latest = new Map();
    runs.series.forEach((owner, run) => { if (series[owner].cohort === number_) latest.set(owner, run); });
    const box = make("div", {});
    figure.append(box);
    kept(() => {
      const known = [...latest].filter(([owner, run]) => runs.values[0][run] !== null && filter.of(series[owner].of) && filter.at(runs.at[run]));
      if (!known.length) box.replaceChildren("No host of what is chosen has this figure.");
      else chart(box, `Latest ${metrics[0][1]} of the hosts of ${title}, by rank`, [{
        name: "hosts", dots: true, dashed: simulated, colour: "--bar", xs: known.map((_one, place) => place + 1), ys: known.map(([, run]) => runs.values[0][run]),
        told: (point) => `${simulated ? "SIMULATED " : ""}#${point + 1} ${series[known[point][0]].host}: ${number(runs.values[0][known[point][1]])} ${metrics[0][2]}`,
      }], { x: "rank", y: `${metrics[0][1]}, ${metrics[0][2]}` });
    });
  }

  // By the axis's name its place in a point, and whether less of it is better.
  const AXES = [["output tok/s for each GPU", 1, false], ["TTFT p99, ms", 2, true], ["US$ per million output tokens", 3, true]];

  // Of points by speed those that no other one beats in both.
  function front(points, axis, lower) {
    let best = null;
    return [...points].sort((one, other) => other[0] - one[0] || (lower ? one[axis] - other[axis] : other[axis] - one[axis])).filter((point) => {
      const beats = best === null || (lower ? point[axis] < best : point[axis] > best);
      if (beats) best = point[axis];
      return beats;
    }).reverse();
  }

  function sweep(figure, { sweeps }) {
    const place = Number(figure.dataset.sweep);
    const box = make("div", {});
    const draw = () => {
      const [title, axis, lower] = AXES[axisOf()];
      const off = [];
      const names = new Map();
      const shown = sweeps[place].filter(({ of, at }) => filter.of(of) && filter.at(at));
      const lines = shown.map(({ name, simulated, points }, index) => {
        const known = points.filter((point) => point[axis] !== null).sort((one, other) => one[0] - other[0]);
        const xs = known.map((point) => point[0]);
        xs.forEach((value, at) => { if (at && value <= xs[at - 1]) xs[at] = xs[at - 1] * (1 + 1e-9); });
        const best = front(known, axis, lower);
        const mark = simulated ? "SIMULATED " : "";
        known.forEach((point) => { if (!simulated) names.set(point, name); });
        const told = (point) => `${mark}${name}, ${number(known[point][4])} in flight: ${number(known[point][0])} tok/s for each user, ${number(known[point][axis])} ${title}${best.includes(known[point]) ? ", on the Pareto front" : ""}`;
        return { name: mark + name, known, best, xs, ys: known.map((point) => point[axis]), dashed: simulated, colour: `--kind-${(index % KINDS) + 1}`, told };
      }).filter(({ xs }) => xs.length);
      lines.forEach(({ known, best }, line) => known.forEach((point, at) => { if (!best.includes(point)) off.push([line, at]); }));
      // Of what was measured alone.
      const all = front([...names.keys()], axis, lower);
      if (all.length > 1) {
        lines.push({
          name: "Pareto front of all", wide: true, colour: "--front", xs: all.map((point) => point[0]), ys: all.map((point) => point[axis]),
          told: (point) => `On the Pareto front of all: ${names.get(all[point])}, ${number(all[point][4])} in flight, ${number(all[point][0])} tok/s for each user, ${number(all[point][axis])} ${title}`,
        });
      }
      if (!lines.length) box.replaceChildren("No point has this figure.");
      else chart(box, `${title} against the speed for each user`, lines, { x: "output tok/s for each user (1000 / mean TPOT)", y: title, zero: true, off });
    };
    const [label, axisOf] = choose("Against", AXES.map(([title]) => title), `s${place}`, () => draw());
    figure.append(make("div", { className: "limits" }, label), box);
    kept(draw);
  }

  const KIND = { history, siblings, sweep };
  page.data.then((data) => {
    const draw = (figure) => {
      if (figure.childElementCount) return;
      for (const [name, make_] of Object.entries(KIND)) if (name in figure.dataset) make_(figure, data);
    };
    const figures = [...document.querySelectorAll("figure[data-history], figure[data-siblings], figure[data-sweep]")];
    const seen = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
      if (isIntersecting) {
        seen.unobserve(target);
        draw(target);
      }
    }), { rootMargin: "300px" });
    figures.forEach((figure) => seen.observe(figure));
    const redraw = () => drawn.forEach(({ plot }) => plot.redraw(false));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    // On paper the colours are the light ones.
    matchMedia("print").addEventListener("change", redraw);
  }, () => undefined);
  return { chart };
})();
