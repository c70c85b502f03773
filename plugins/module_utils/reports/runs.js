// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Opens a run: lays out what details.py says of it. Everything enters the page as text, nothing as HTML.
"use strict";
page.data.then((known) => {
  const { make, number, minute, table } = page;
  const { details: data, runs, series, cohorts, metrics, whole } = known;
  const DASH = "\u2013";
  // Of each series the numbers of its runs, oldest first; of each row's name its series.
  const members = series.map(() => []);
  runs.series.forEach((owner, run) => members[owner].push(run));
  const owners = new Map(runs.anchor.map((anchor, run) => [`run-${anchor}`, runs.series[run]]));
  const SHOWN = ["output_throughput", "mean_ttft_ms", "mean_tpot_ms"].map((key) => metrics.findIndex(([name]) => name === key));

  function ratio(value) {
    const size = Math.abs(value);
    if (size >= 99.95) return Math.round(value).toLocaleString("en-US");
    if (size >= 9.995) return value.toFixed(1);
    return size >= 0.0995 ? value.toFixed(2) : value.toPrecision(2);
  }

  function mean(values) {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  function variation(values) {
    const middle = mean(values);
    const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
    return middle ? `${((100 * Math.sqrt(squares / (values.length - 1))) / middle).toFixed(1)} %` : DASH;
  }

  function details(run) {
    const [id, host, , values, baselines, notes, repeats, commands, sweep] = run;
    const filled = (text) => text.replaceAll("\0", id).replaceAll("\u0001", host);
    const shared = (index) => data.pool[index];
    const command = ([title, text, remarks]) => [
      make("h4", {}, title),
      ...remarks.map((remark) => make("p", { className: "fine" }, filled(remark))),
      copied(filled(text)),
    ];
    const box = make("div", { className: "details" });
    if (notes.length) {
      box.append(make("ul", { className: "notes" }, ...notes.map((note) => make("li", {}, filled(shared(note))))));
    }
    const spread = values.some((found) => found && found.length > 1);
    const beside = baselines.map(shared);
    const head = ["Metric", "Unit", spread ? "Mean" : "Value", ...(spread ? ["Lowest", "Highest", "Variation"] : [])];
    beside.forEach(([title]) => head.push(title, "Ratio"));
    const rows = [];
    values.forEach((found, index) => {
      if (!found) return;
      const middle = mean(found);
      const cells = [...data.names[index], number(middle)];
      if (spread) cells.push(number(Math.min(...found)), number(Math.max(...found)), found.length > 1 ? variation(found) : DASH);
      for (const [, , theirs] of beside) {
        const base = theirs[index];
        cells.push(number(base), base ? ratio(middle / base) : DASH);
      }
      rows.push(cells);
    });
    box.append(make("h4", {}, "Metrics"), table(head, rows));
    const said = spread ? `Variation is the standard deviation \u00f7 the mean of ${repeats.length} repeats.` : "One repeat: no spread.";
    box.append(make("p", { className: "fine" }, [said, ...beside.map(([title, what]) => `${title}: ${what}.`)].join(" ")));
    if (spread) {
      const columns = data.repeats.filter(([index]) => values[index] && values[index].length === repeats.length);
      const lines = repeats.map(([took, completed, failed], line) =>
        [String(line + 1), took, number(completed), number(failed), ...columns.map(([index]) => number(values[index][line]))]);
      const names = columns.map(([, name]) => name);
      box.append(make("h4", {}, "Repeats"), table(["Repeat", "Took", "Completed", "Failed", ...names], lines));
    }
    if (sweep.length) {
      const names = ["Workload", "Output, tok/s", "TTFT mean, ms", "TPOT mean, ms", "tok/s per GPU", "tok/s per user", "Best"];
      box.append(make("h4", {}, "Points of the sweep"), table(names, sweep));
    }
    box.append(make("div", { className: "drawn" }));
    const [again, ...others] = commands.map(shared);
    box.append(...command(again));
    for (const [title, pairs] of page.facts(known, run)) {
      const listed = pairs.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
      if (listed.length) box.append(make("h4", {}, title), make("dl", {}, ...listed));
    }
    box.append(...others.flatMap(command));
    return box;
  }

  // A command with a button that copies it, where the browser lets a page of a file do so.
  function copied(text) {
    const box = make("div", { className: "command" }, make("pre", {}, text));
    if (navigator.clipboard) {
      const button = make("button", { type: "button" }, "Copy");
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(text);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(box.firstChild);
          button.textContent = "Selected";
        }
      });
      box.append(button);
    }
    return box;
  }

  // Makes the rows of all of a series' runs, newest first; the page has the newest alone.
  function fill(item) {
    if (item.dataset.filled) return;
    item.dataset.filled = "yes";
    const owner = series.findIndex(({ id }) => id === item.id);
    const simulated = cohorts[series[owner].cohort][1];
    const listed = [...members[owner]].reverse();
    const rows = listed.map((run) => {
      const id = `run-${runs.anchor[run]}`;
      const start = make("th", { scope: "row" }, make("a", { href: `#${id}` }, minute(runs.at[run])));
      if (simulated) start.prepend(make("b", { className: "simulated" }, "SIMULATED"), " ");
      const cells = SHOWN.map((metric) => make("td", {}, number(runs.values[metric][run])));
      if (runs.failed[run]) cells[0].append(" ", make("b", { className: "worse" }, `${number(runs.failed[run])} failed`));
      return make("tr", { id }, start, ...cells, make("td", {}, runs.versions[runs.version[run]]));
    });
    item.querySelector("tbody").replaceChildren(...rows);
    const choose = () => rows.forEach((row, place) => row.classList.toggle("out", !filter.at(runs.at[listed[place]])));
    filter.on(choose);
    choose();
    item.querySelector(".older")?.remove();
  }

  // Opens the run of a row, or closes it; what is opened once stays made.
  function toggle(row, open) {
    const anchor = row.id.replace(/^run-|--point-\d+$/gu, "");
    const run = whole.get(anchor);
    let shown = row.nextElementSibling;
    if (!shown || !shown.classList.contains("shown")) {
      if (open === false) return;
      const said = run ? details(run) : make("p", { className: "fine" }, "Older than the runs that this page tells whole. Its result document, which is named like it, has the rest.");
      shown = make("tr", { className: "shown", hidden: true }, make("td", { colSpan: row.cells.length }, said));
      row.after(shown);
      if (run) {
        said.prepend(compare.buttons(anchor));
        const drawn = said.querySelector(".drawn");
        runPlots.histograms(drawn, run);
        runPlots.overTime(drawn, run);
      }
    }
    shown.hidden = open === undefined ? !shown.hidden : !open;
    row.classList.toggle("open", !shown.hidden);
  }

  function follow() {
    const id = page.place();
    const owner = owners.get(id);
    if (owner !== undefined) fill(document.getElementById(series[owner].id));
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let around = target.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    if (target.matches("table.runs tr")) toggle(target, true);
    target.scrollIntoView();
  }

  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details.series") && event.target.open) fill(event.target);
  }, true);
  document.addEventListener("click", (event) => {
    const row = event.target.closest("table.runs > tbody > tr[id]");
    const link = event.target.closest("a[href^='#']");
    if (link && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    if (link) event.preventDefault();
    if (row) {
      if (link) page.go(row.id);
      toggle(row);
    } else if (link) {
      // What is chosen stays so wherever a reader goes.
      page.visit(decodeURIComponent(link.hash.slice(1)));
    }
  });
  window.addEventListener("hashchange", follow);

  const items = [...document.querySelectorAll("details.series")];
  items.filter((item) => item.open).forEach(fill);
  if (items.length > 3) {
    const input = make("input", { type: "search", placeholder: "host, engine, workload or run", autocomplete: "off", value: page.get("q") || "" });
    const count = make("span", { className: "fine" });
    const kinds = [...document.querySelectorAll("div.kind")];
    const texts = items.map((item, place) => (item.parentElement.firstElementChild.textContent + item.firstElementChild.textContent
      + members[place].map((run) => runs.anchor[run]).join(" ")).toLowerCase());
    input.setAttribute("aria-label", "Show only runs of");
    const search = () => {
      const wanted = input.value.toLowerCase().split(/\s+/u).filter(Boolean);
      let left = 0;
      items.forEach((item, index) => {
        item.hidden = !wanted.every((word) => texts[index].includes(word));
        left += !item.hidden;
      });
      kinds.forEach((kind) => { kind.hidden = !kind.querySelector("details:not([hidden])"); });
      count.textContent = wanted.length ? `${left} of ${items.length}` : "";
    };
    input.addEventListener("input", () => {
      page.set("q", input.value);
      search();
    });
    search();
    kinds[0].before(make("p", { className: "filter" }, input, " ", count));
  }
  document.documentElement.classList.add("scripted");
  follow();
}, () => {
  const said = "This browser cannot unpack the page's data: older runs, details and plots are not shown.";
  document.getElementById("runs")?.prepend(page.make("p", { className: "banner" }, said));
});
