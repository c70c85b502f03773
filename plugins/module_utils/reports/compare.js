// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Two runs side by side: figures with the rule's verdict, and what differs between them. The address keeps which two.
"use strict";
const compare = (() => {
  const { make, number, percent, table } = page;
  const SIDES = [["a", "Run A, the baseline"], ["b", "Run B, compared with it"]];
  // Two runs may have begun in one minute.
  const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  // What is said of a run that tells one machine and question from another.
  const SURROUNDINGS = ["Host", "Engine", "Benchmark"];
  // Once the data is there: what an opened run offers, and what is said of two.
  let ready = null;

  function begin(data) {
    const { runs, series, cohorts, metrics, whole, options, rule: known } = data;
    const section = document.getElementById("compare");
    const places = runs.anchor.map((_anchor, run) => run).filter((run) => whole.has(runs.anchor[run]));
    if (places.length < 2) return;
    const byAnchor = new Map(places.map((run) => [runs.anchor[run], run]));
    const simulated = (run) => cohorts[series[runs.series[run]].cohort][1];
    // Of each series its runs, oldest first; of each run that is told whole the one before it that is, too.
    const own = series.map(() => []);
    runs.series.forEach((owner, run) => own[owner].push(run));
    const told = own.map((listed) => listed.filter((run) => whole.has(runs.anchor[run])));
    const before = new Map(told.flatMap((listed) => listed.slice(1).map((run, place) => [run, listed[place]])));
    const of = (owner) => told[owner];
    const earlier = (run) => own[runs.series[run]].slice(0, own[runs.series[run]].indexOf(run));
    // What a reader most likely asks: the newest run that was measured, beside the one before it.
    const likely = (run) => [before.has(run), !simulated(run), runs.at[run]];
    const newest = places.reduce((one, other) => {
      const [first, second] = [likely(one), likely(other)];
      const place = first.findIndex((value, index) => value !== second[index]);
      return place >= 0 && second[place] > first[place] ? other : one;
    });
    const box = make("div", {});
    const pickers = SIDES.map(([key, label]) => picker(key, label));

    // A choice of host, then of its run.
    function picker(key, label) {
      const [host, run] = [make("select", {}), make("select", {})];
      cohorts.forEach(([system, rehearsed, question], cohort) => {
        const own = series.map((item, owner) => [item, owner]).filter(([item, owner]) => item.cohort === cohort && of(owner).length);
        if (!own.length) return;
        host.append(make("optgroup", { label: `${rehearsed ? "SIMULATED " : ""}${system}, ${question}` },
          ...own.map(([item, owner]) => make("option", { value: owner }, item.host))));
      });
      const list = (owner) => run.replaceChildren(...[...of(owner)].reverse().map((one) =>
        make("option", { value: one }, `${moment(runs.at[one])}, ${number(runs.values[0][one])} ${metrics[0][2]}`)));
      const keep = () => page.set(key, runs.anchor[Number(run.value)]);
      host.addEventListener("input", () => { list(Number(host.value)); keep(); show(); });
      run.addEventListener("input", () => { keep(); show(); });
      const choose = (wanted) => {
        host.value = runs.series[wanted];
        list(runs.series[wanted]);
        run.value = wanted;
      };
      const labels = [["host", host], ["started, UTC", run]].map(([what, select]) => make("label", {}, `${label}: ${what}`, select));
      const narrow = () => {
        for (const option of host.options) {
          const owner = Number(option.value);
          option.disabled = option.hidden = !option.selected && !(filter.of(series[owner].of) && of(owner).some((one) => filter.at(runs.at[one])));
        }
      };
      filter.on(narrow);
      narrow();
      return { element: make("div", { className: "limits" }, ...labels), choose, run: () => Number(run.value) };
    }

    function read() {
      const [a, b] = SIDES.map(([key]) => byAnchor.get(page.get(key)));
      const second = b ?? (a === newest ? places.find((run) => run !== a) : newest);
      pickers[1].choose(second);
      pickers[0].choose(a ?? before.get(second) ?? places.find((run) => run !== second));
    }

    // Why no figure of these two is better or worse; nothing where one can be.
    function whyNot(a, b) {
      const found = [["A", a], ["B", b]].map(([name, run]) => [name, simulated(run) ? "it is simulated" : runs.flaws[runs.flaw[run]][0]])
        .filter(([, why]) => why).map(([name, why]) => `of run ${name}: ${why}`);
      if (series[runs.series[a]].asked !== series[runs.series[b]].asked) found.push("they were asked different things");
      return found.join("; ");
    }

    function judge(a, b) {
      const why = a === b ? "both are one run" : whyNot(a, b);
      return [why, figures(a, b, !why)];
    }

    function figures(a, b, judged) {
      const sound = earlier(b).filter((run) => !runs.flaws[runs.flaw[run]][1]).slice(-known.earlier);
      return metrics.map(([, name, unit, higher, usual], metric) => {
        const [theirs, ours] = [a, b].map((run) => whole.get(runs.anchor[run])[3][data.details.repeats[metric][0]]);
        const fair = judged && ![a, b].some((run) => runs.marked[metric].includes(run));
        const history = sound.map((run) => runs.values[metric][run]).filter((value) => value !== null);
        const found = ours && theirs && theirs.some((value) => value) ? rule.compare(ours, theirs, history, { higher, usual, known, judged: fair }) : null;
        return { name, unit, ours, theirs, found };
      });
    }

    function show() {
      const [a, b] = pickers.map((picked) => picked.run());
      const [why, found] = judge(a, b);
      const said = ["better", "worse"].map((verdict) => {
        const some = found.filter((one) => one.found?.verdict === verdict);
        return some.length ? `${verdict} in ${some.map((one) => `${one.name} (${percent(one.found.change)})`).join(", ")}` : "";
      }).filter(Boolean);
      const none = found.every((one) => !one.found?.verdict);
      const answer = why ? `No verdict, because ${why}.`
        : none ? "No verdict: one repeat on either side, without a history, tells no spread."
          : said.length ? `Run B is ${said.join("; ")}.` : "Nothing is beyond chance.";
      const mean = (values) => (values ? number(values.reduce((total, value) => total + value, 0) / values.length) : "\u2013");
      const rows = found.map((one) => [`${one.name}, ${one.unit}`, mean(one.theirs), mean(one.ours), one.found ? percent(one.found.change) : "\u2013",
        one.found?.verdict ? make("span", { className: one.found.verdict }, one.found.verdict) : "\u2013",
        one.found?.margin ? `\u00b1 ${(100 * one.found.margin).toFixed(1)} %` : "\u2013"]);
      const [ours, theirs] = [b, a].map((run) => page.facts(data, whole.get(runs.anchor[run])));
      const rest = unlike(theirs, ours, ["Requests"]);
      const set = [a, b].map((run) => options[series[runs.series[run]].options]);
      const apart = unlike(theirs, ours, SURROUNDINGS);
      const only = set.map((mine, side) => mine.filter((option) => !set[1 - side].includes(option)).join(" "));
      if (only.some(Boolean)) apart.push(["Options and variables that may change its speed", ...only.map((text) => text || "none of these")]);
      box.replaceChildren(
        make("p", { className: "said" }, ...(simulated(a) || simulated(b) ? [make("b", { className: "simulated" }, "SIMULATED"), " "] : []), answer),
        table(["Figure", "A", "B", "Change", "B is", "Chance"], rows, "compared"),
        make("p", { className: "fine" }, "Chance: how far two runs with nothing changed lie apart, in 19 of 20 pairs; it is the rule that all verdicts of the report have. A figure is the mean of its repeats."),
        make("h3", {}, "What differs"),
        apart.length ? table(["", "A", "B"], apart, "facts") : make("p", {}, "Neither hardware nor engine, options or workload, as far as the documents tell."),
        ...(rest.length ? [make("h3", {}, "What it came to"), table(["", "A", "B"], rest, "facts")] : []),
      );
      runPlots.spreads(box, [["A", a], ["B", b]].map(([name, run]) => [`${simulated(run) ? "SIMULATED " : ""}${name}`, whole.get(runs.anchor[run])]));
    }

    // The facts of some sections that two runs do not share, as [name, A's, B's].
    function unlike(theirs, ours, titles) {
      return titles.flatMap((title) => {
        const [first, second] = [theirs, ours].map((said) => new Map(said.filter(([of_]) => of_ === title).flatMap(([, pairs]) => pairs)));
        return [...new Set([...first.keys(), ...second.keys()])].filter((name) => first.get(name) !== second.get(name))
          .map((name) => [name, first.get(name) ?? "\u2013", second.get(name) ?? "\u2013"]);
      });
    }

    const swap = make("button", { type: "button", className: "whole" }, "Swap A and B");
    swap.addEventListener("click", () => {
      const [a, b] = pickers.map((picked) => runs.anchor[picked.run()]);
      page.set("a", b);
      page.set("b", a);
      read();
      show();
    });
    section.append(...pickers.map(({ element }) => element), swap, box);
    const again = () => { read(); show(); };
    // Two runs that are in no address are laid out when somebody comes near.
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      seen.disconnect();
      again();
      window.addEventListener("hashchange", again);
    }, { rootMargin: "300px" });
    seen.observe(section);
    for (const hidden of document.querySelectorAll("#compare, nav [href='#compare']")) hidden.hidden = false;
    ready = { judge: (a, b) => judge(byAnchor.get(a), byAnchor.get(b)), buttons };

    function buttons(anchor) {
      const run = byAnchor.get(anchor);
      if (run === undefined) return "";
      const last = before.get(run);
      const offers = last === undefined ? [] : [["Compare with the run before it", { a: runs.anchor[last], b: anchor }]];
      offers.push(["Compare with another run", { b: anchor }]);
      return make("p", { className: "actions" }, ...offers.map(([text, choice]) => {
        const button = make("button", { type: "button", className: "whole" }, text);
        button.addEventListener("click", () => page.visit("compare", choice));
        return button;
      }));
    }
  }

  page.data.then(begin, () => undefined);
  return {
    buttons: (anchor) => (ready ? ready.buttons(anchor) : ""),
    judge: (a, b) => ready.judge(a, b),
  };
})();
